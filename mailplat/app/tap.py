"""``twistd mailplat``: its options, and the service they make."""

from __future__ import annotations

import sys
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from mailplat.model.errors import ConfigurationFault

__all__ = ["Options", "makeService"]


_EXAMPLES = """
mailplat runs a whole mail server: SMTP from other servers (port 25), submission from
your users (587, 465), POP3 (110, 995) and IMAP (143, 993).

  look at it:
    twistd --nodaemon mailplat --demo
  set up your own, and check what you changed:
    mailplatctl init /srv/mail --domain example.org --account alice:secret
    mailplatctl check-config /srv/mail/mailplat.toml
  run it:
    twistd --nodaemon mailplat --config /srv/mail/mailplat.toml
"""


class Options(usage.Options):
    """What stands behind ``twistd mailplat``."""

    optParameters = (
        ["config", "c", None, "The configuration: DIR/mailplat.toml of `mailplatctl init DIR`."],
        ["demo-dir", None, "mailplat-demo", "Where --demo keeps its mail."],
    )
    optFlags = (
        [
            "demo",
            None,
            "Run with two sample accounts on ports from 8025, made at the first start; "
            "needs no configuration.",
        ],
    )

    def getUsage(self, width: int | None = None) -> str:
        """Explain the options, with examples that can be copied."""
        usage: str = super().getUsage(width)
        return usage + _EXAMPLES

    def postOptions(self) -> None:
        """Ask for one of the two ways to run."""
        if bool(self["config"]) == bool(self["demo"]):
            raise usage.UsageError(
                "say --config FILE (made by `mailplatctl init DIR`), or --demo to look around"
            )


def makeService(options: Options) -> IService:
    """Make the service that twistd runs; twistd calls it before any port is open.

    A fault in the configuration ends the process with every fault's line and no traceback.
    """
    from mailplat.app.server import make_server

    try:
        path = _demo(options["demo-dir"]) if options["demo"] else options["config"]
        return make_server(path, demo=bool(options["demo"]), logfile=_logfile(options))
    except ConfigurationFault as fault:
        sys.exit(fault.reason)


def _demo(directory: str) -> str:
    from mailplat.app.demo import prepare_demo

    return prepare_demo(directory)


def _logfile(options: Options) -> str | None:
    """Tell where twistd logs to; ``-`` is the standard output, None what only twistd knows."""
    parent: Any = options.parent
    if parent is None or parent.get("syslog") or parent.get("logger"):
        return None
    logfile: str | None = parent["logfile"]
    return logfile or ("-" if parent.get("nodaemon") else "twistd.log")
