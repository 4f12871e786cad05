"""What must not be stopped halfway, although nobody waits for it any more.

A session's coroutine is cancelled when its connection is lost.  A commit that it awaits goes on to
its own end all the same: what it holds is let go of only then, and an error is logged.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

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
    running = Deferred.fromCoroutine(coroutine)
    if running.called:
        return await running
    waiting: Deferred[T] = Deferred()

    def done(result: T | Failure) -> None:
        if not waiting.called:
            waiting.callback(result)
        elif isinstance(result, Failure):
            if result.check(MailError):
                _log.info("after its connection was lost: {reason}", reason=result.value)
            else:
                _log.failure("after its connection was lost", failure=result)

    running.addBoth(done)
    return await waiting
