"""Where log events go: one line each, as text or as JSON.

Text is for reading and for grep: the time, the part that speaks, its words, as `twistd` writes
them.  JSON is for programs: one object a line with everything that the event carries (session,
account, queue id...) under its own name.  Nothing here decides what is logged: events come from
`twisted.logger`, and no part puts a secret into one.

A line is made in a few microseconds, since every mail has its own; and whatever an event carries,
it stays one line (a traceback aside), so nobody can forge another.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import lru_cache
from typing import IO, Any

from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText, formatEvent
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from zope.interface import implementer

__all__ = ["json_line", "make_observer", "open_log", "text_line"]


def open_log(path: str) -> IO[str]:
    """Open what a log goes to: ``-`` is the standard output, else a file that rotates.

    The file is moved away at 10 MB; ten old ones are kept.
    """
    if path == "-":
        return sys.stdout
    file: IO[str] = LogFile.fromFullPath(path, rotateLength=10_000_000, maxRotatedFiles=10)
    return file


def make_observer(out: IO[str], form: str, level: str) -> ILogObserver:
    """Make the observer of a whole process.

    Args:
        out: Takes the lines.
        form: ``text`` or ``json``.
        level: The least severe level that is written: ``debug``, ``info``, ``warn``, ``error``
            or ``critical``.
    """
    levels = list(LogLevel.iterconstants())
    wanted = frozenset(levels[levels.index(LogLevel.levelWithName(level)) :])
    line = json_line if form == "json" else text_line
    return _Observer(out, line, wanted)


@implementer(ILogObserver)
class _Observer:
    """Writes a line for each event of the wanted levels, and keeps none back."""

    def __init__(
        self, out: IO[str], line: Callable[[LogEvent], str], wanted: Collection[Any]
    ) -> None:
        self._out = out
        self._line = line
        self._wanted = wanted

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level", LogLevel.info) in self._wanted:
            self._out.write(self._line(event))
            self._out.flush()


@lru_cache(1)
def _second(seconds: int) -> str:
    """Spell a second in local time."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))


def _words(event: LogEvent) -> str:
    """Give an event's words; those that are not simply put in are Twisted's to find."""
    try:
        form = event["log_format"]
        return form.format_map(event) if type(form) is str and "()" not in form else _slow(event)
    except Exception:
        return _slow(event)


def _slow(event: LogEvent) -> str:
    words: str = formatEvent(event)
    return words


def text_line(event: LogEvent) -> str:
    """Write an event for people: ``2026-01-01T12:00:00+0000 [part#level] words``."""
    if "log_failure" in event:
        words = eventAsText(event, includeTimestamp=False, includeSystem=False)
    else:
        words = _words(event)
    if not words:
        return ""
    if "log_system" in event:
        part = str(event["log_system"])
    else:
        level = event.get("log_level")
        part = f"{event.get('log_namespace', '-')}#{level.name if level is not None else '-'}"
    when = _second(int(event.get("log_time", 0.0)))
    return f"{when} [{part}] {words}".replace("\n", "\n\t") + "\n"


def json_line(event: LogEvent) -> str:
    """Write an event for programs, as one object; a value that cannot be shown stops nothing.

    ``time`` (UTC, ISO 8601), ``level``, ``part``, ``message``, and under ``traceback`` what went
    wrong, if anything did; the event's other values follow under their own names, those that
    JSON has no form for as their `repr`.
    """
    when = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    level = event.get("log_level")
    line: dict[str, Any] = {
        "time": when.isoformat(timespec="milliseconds"),
        "level": level.name if level is not None else "info",
        "part": event.get("log_namespace", ""),
        "message": _words(event),
    }
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        line["traceback"] = (
            eventAsText(event, includeTimestamp=False, includeSystem=False)
            .removeprefix(line["message"])
            .strip()
        )
    for name, value in event.items():
        if not name.startswith("log_") and name not in _TWISTED:
            line.setdefault(name, value)
    return json.dumps(line, default=repr, ensure_ascii=False) + "\n"


# what Twisted's older logging adds to every event
_TWISTED = frozenset({"format", "isError", "message", "system", "time", "why", "failure"})
