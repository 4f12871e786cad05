"""From a configuration file to the service that twistd runs."""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from typing import Any

from twisted.application.service import IService

from mailplat.app.assembly import assemble
from mailplat.app.control import POLICIES_CHANGED, QUEUE_CHANGED, Control
from mailplat.app.dmarc_reporting import make_dmarc_reporting
from mailplat.app.filtering import CurrentFiltering
from mailplat.app.listening import ports_of
from mailplat.app.logs import make_observer, open_log
from mailplat.app.outgoing import ClosingAgents
from mailplat.app.parts import check_part
from mailplat.app.quotas import AccountQuotas
from mailplat.app.reloading import Reloading
from mailplat.app.service import MailService
from mailplat.app.tls_reports import make_reporting
from mailplat.config.load import load
from mailplat.config.sections.server import LogFormat, LogOptions

__all__ = ["make_server"]


_SWITCH_INTERVAL = 0.0005
"""Seconds after which a busy reactor lets other threads go on (Python's default: 0.005)."""


def make_server(
    path: str, *, demo: bool = False, logfile: str | None = None, reactor: Any = None
) -> IService:
    """Make the server that a configuration file describes.

    Args:
        path: The file.
        demo: Say on the standard output what to connect to.
        logfile: Where twistd logs to; ``-`` is the standard output, None what only it knows.
        reactor: Twisted's; None installs the default one.

    Raises:
        ConfigurationFault: The file, or what it names, cannot be used.
    """
    if reactor is None:
        from twisted.internet import reactor

        # a server of its own: a writer thread must not wait 5 ms for each of its turns
        sys.setswitchinterval(_SWITCH_INTERVAL)
    configuration = load(Path(path), check_part=check_part)
    parts = assemble(configuration, reactor)
    filters = CurrentFiltering(parts.filtering)
    reporting = make_reporting(parts, lambda: filters.filtering)
    reloading = Reloading(Path(path), parts, filters, lambda ports: service.exchange(ports))
    service = MailService(
        reactor,
        ports_of(parts),
        [
            parts.accounts,
            *([parts.tokens] if parts.tokens is not None else []),
            parts.store,
            parts.routes,
            AccountQuotas(parts.accounts, parts.store),
            parts.spool,
            parts.filtering.shared.watchdog,
            parts.filtering.shared.threads,
            filters,
            *make_dmarc_reporting(parts, filters),
            *([parts.policies] if parts.policies is not None else []),
            *([parts.tls_counts] if parts.tls_counts is not None else []),
            ClosingAgents(parts.agents),
            parts.runner,
            *([reporting] if reporting is not None else []),
            Control(
                reactor,
                configuration.server.data_directory,
                {
                    QUEUE_CHANGED: parts.runner.changed,
                    **(
                        {POLICIES_CHANGED: parts.policies.changed}
                        if parts.policies is not None
                        else {}
                    ),
                },
            ),
            reloading,
        ],
        shutdown_timeout=configuration.server.shutdown_timeout,
        observer=_observer(configuration.log, logfile),
        tell=_say if demo else None,
        failed=_exit_with_failure,
    )
    made: IService = service
    return made


def _observer(log: LogOptions, logfile: str | None) -> Any:
    """Make our own log, but where a file is twistd's, which turns it over when it is told to."""
    plain = log.file is None and log.format is LogFormat.TEXT and log.level.value == "info"
    if plain and logfile != "-":
        return None
    out = open_log(str(log.file) if log.file is not None else logfile or "-")
    return make_observer(out, log.format.value, log.level.value)


def _say(line: str) -> None:
    """Write to the terminal itself: twistd turns what goes to `sys.stdout` into log lines."""
    if sys.__stdout__ is not None:
        sys.__stdout__.write(f"  {line}\n")
        sys.__stdout__.flush()


def _exit_with_failure() -> None:
    """Let the process end with exit code 1: twistd ends with 0 whenever the reactor is stopped."""

    def end() -> None:
        sys.stdout.flush()
        os._exit(1)

    atexit.register(end)
