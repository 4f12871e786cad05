"""Writes the report stream into a file: a line of JSON for each thing that happened.

It is asked nothing and holds nothing up: it reads `IReports`, and what it cannot write in time is
missing, which a line of its own says.  The file is opened for each batch, so that it may be moved
away at any time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.filters.reading import in_thread
from mailplat.interfaces.filters import IFilter, IStages, Stage, Stages
from mailplat.interfaces.hooks import IReportReader, Report
from mailplat.interfaces.plugins import FilterSettings
from mailplat.model.errors import ConfigurationFault

__all__ = ["ReportLogFilter"]

_log = Logger()


@implementer(IStages)
class _Nothing(Stages):
    """Asked nothing."""


@implementer(IFilter)
class ReportLogFilter:
    """Reads reports from the moment that it is made until it is closed.

    Args:
        name: What log lines call it.
        path: The file; a relative path begins in the data directory.
        settings: The stream, and threads to write in.
        waiting: Reports that may wait to be written.

    Raises:
        ConfigurationFault: No file is named.
    """

    stages: Sequence[Stage] = ()

    def __init__(
        self, name: str, path: str, settings: FilterSettings, *, waiting: int = 10_000
    ) -> None:
        if not path:
            raise ConfigurationFault("report_log: which file? Write report_log:PATH")
        self.name = name
        self._path = Path(settings.directory) / path
        self._reactor = settings.reactor
        self._dropped = 0
        self._reader: IReportReader | None = None
        self._writing: Deferred[None] | None = None
        if settings.reports is not None:
            self._reader = settings.reports.subscribe(waiting)
            self._writing = Deferred.fromCoroutine(self._write_all(self._reader))

    def open(self) -> IStages:
        """See `IFilter.open`: there is nothing to be asked."""
        return _Nothing()

    async def close(self) -> None:
        """Write what was read, and read no more."""
        if self._reader is not None and self._writing is not None:
            self._reader.close()
            await self._writing

    async def _write_all(self, reader: IReportReader) -> None:
        while reports := await reader.read():
            lines = [_line(one) for one in reports]
            if reader.dropped > self._dropped:
                missing, self._dropped = reader.dropped - self._dropped, reader.dropped
                lines.append(json.dumps({"event": "dropped", "count": missing}))
            text = "".join(f"{line}\n" for line in lines)
            try:
                await in_thread(self._reactor, None, lambda text=text: self._append(text))  # type: ignore[misc]
            except OSError as error:
                _log.warn(
                    "{filter}: {n} reports are lost: {path}: {why}",
                    filter=self.name,
                    n=len(reports),
                    path=str(self._path),
                    why=error.strerror,
                )

    def _append(self, text: str) -> None:
        """Write at the end; blocks."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with open(os.open(self._path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)


def _line(report: Report) -> str:
    """Write a report as JSON, without what is empty."""
    known = {name: value for name, value in asdict(report).items() if value not in ("", (), None)}
    if report.sender is not None:
        known["sender"] = report.sender
    return json.dumps(known, ensure_ascii=True)
