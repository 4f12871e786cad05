"""Notices when something holds the reactor up, and logs where: a filter's endless loop, say.

While the reactor is held up no mail moves, so nothing in it can tell; a thread beside it does.  The
reactor makes a mark now and then, and the thread looks how old the mark is.

Invariant: one stay is told once, when it is longer than the limit, and once more when it is over.
"""

from __future__ import annotations

import sys
import threading
import traceback
from time import monotonic
from types import FrameType
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

__all__ = ["Watchdog"]

_log = Logger()

_MARKS = 4
"""Marks in the time that the reactor may be held up."""


class Watchdog:
    """Watches one reactor.

    Args:
        reactor: Is opened, and watched, in its own thread.
        limit: Seconds that it may be held up; 0 for no watch at all.
        frames: How many of the innermost calls are told.
    """

    def __init__(self, reactor: Any, limit: float, *, frames: int = 12) -> None:
        self._reactor = reactor
        self._limit = limit
        self._frames = frames
        self._marked = 0.0
        self._told = False
        self._thread_id = 0
        self._timer: IDelayedCall | None = None
        self._ended = threading.Event()

    async def open(self) -> None:
        """Begin to watch."""
        if self._limit <= 0:
            return
        self._thread_id = threading.get_ident()
        self._mark()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    async def close(self) -> None:
        """Watch no more."""
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _mark(self) -> None:
        marked, self._marked = self._marked, monotonic()
        self._timer = self._reactor.callLater(self._limit / _MARKS, self._mark)
        if self._told:
            self._told = False
            _log.warn("the reactor goes on after {seconds:.1f} s", seconds=self._marked - marked)

    def _watch(self) -> None:
        """In the thread: look now and then."""
        while not self._ended.wait(self._limit / _MARKS):
            held = monotonic() - self._marked
            if held > self._limit + self._limit / _MARKS and not self._told:
                self._told = True
                self._tell(held)

    def _tell(self, held: float) -> None:
        frame: FrameType | None = sys._current_frames().get(self._thread_id)
        stack = traceback.extract_stack(frame)[-self._frames :] if frame is not None else []
        _log.warn(
            "the reactor has been held up for {seconds:.1f} s; it is here:\n{stack}",
            seconds=held,
            stack="".join(traceback.format_list(stack)),
        )
