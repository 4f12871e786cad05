"""What must not be stopped halfway, although nobody waits for it any more.

A session's coroutine is cancelled when its connection is lost.  A commit that it awaits goes on to
its own end all the same: what it holds is let go of only then, and an error is logged.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.model.errors import MailError

__all__ = ["shielded"]

T = TypeVar("T")

_log = Logger()


async def shielded(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, even if whoever awaits this is cancelled.

    Returns:
        What the coroutine returns; it raises what that one raises.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    return await _Running(coroutine, awaited).ended


class _Running(Generic[T]):
    """A coroutine that waits.

    Attributes:
        ended: Fires when it is done; may be cancelled without any effect on it.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], awaited: Deferred[Any]) -> None:
        self.ended: Deferred[T] = Deferred()
        self._coroutine = coroutine
        awaited.addBoth(self._go_on)

    def _go_on(self, result: object) -> None:
        """What it waited for is there."""
        try:
            if isinstance(result, Failure):
                awaited = result.throwExceptionIntoGenerator(self._coroutine)
            else:
                awaited = self._coroutine.send(result)
        except StopIteration as stop:
            if not self.ended.called:
                self.ended.callback(stop.value)
        except Exception as error:
            if not self.ended.called:
                self.ended.errback(Failure())
            elif isinstance(error, MailError):
                _log.info("after its connection was lost: {reason}", reason=error)
            else:
                _log.failure("after its connection was lost")
        else:
            awaited.addBoth(self._go_on)
