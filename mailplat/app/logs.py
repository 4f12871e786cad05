"""Where log events go: one line each, as text or as JSON.

Text is for reading and for grep: the time, the part that speaks, its words.  JSON is for
programs: one object a line with everything that the event carries (session, account, queue id...)
under its own name.  Nothing here decides what is logged: events come from `twisted.logger`, and
no part puts a secret into one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Any

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    formatEvent,
    textFileLogObserver,
)
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from zope.interface import implementer

__all__ = ["JSONObserver", "make_observer", "open_log"]


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
    observer = JSONObserver(out.write) if form == "json" else textFileLogObserver(out)
    predicate = LogLevelFilterPredicate(LogLevel.levelWithName(level))
    filtered: ILogObserver = FilteringLogObserver(observer, [predicate])
    return filtered


@implementer(ILogObserver)
class JSONObserver:
    """Writes each event as one line of JSON.

    ``time`` (UTC, ISO 8601), ``level``, ``part``, ``message``, and under ``traceback`` what went
    wrong, if anything did; the event's other values follow under their own names, those that
    JSON has no form for as their `repr`.

    Args:
        write: Takes a line.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def __call__(self, event: LogEvent) -> None:
        """Write one event; a value that cannot be shown does not stop the log."""
        when = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
        level = event.get("log_level")
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": level.name if level is not None else "info",
            "part": event.get("log_namespace", ""),
            "message": formatEvent(event),
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
        self._write(json.dumps(line, default=repr, ensure_ascii=False) + "\n")


# what Twisted's older logging adds to every event
_TWISTED = frozenset({"format", "isError", "message", "system", "time", "why", "failure"})
