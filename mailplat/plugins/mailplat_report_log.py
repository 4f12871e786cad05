"""The filter ``report_log``: ``report_log:reports.jsonl``.

It writes what happens to connections and mails into a file, a line of JSON each
(`mailplat.interfaces.hooks.Report`).  A relative path begins in the data directory.
"""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.filters import IFilter
from mailplat.interfaces.plugins import FilterSettings, IFilterPlugin

__all__ = ["report_log"]


@implementer(IPlugin, IFilterPlugin)
class ReportLogPlugin:
    """Makes a `mailplat.filters.report_log.ReportLogFilter`."""

    prefix = "report_log"

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """Take the file."""
        from mailplat.filters.report_log import ReportLogFilter

        return ReportLogFilter(name, argument, settings)


report_log = ReportLogPlugin()
