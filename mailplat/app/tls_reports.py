"""The daily reports on TLS, made of the configuration and of a server's parts."""

from __future__ import annotations

from collections.abc import Callable
from random import SystemRandom

from mailplat.agents.tls_reporting import ReportingOptions, TLSReporting
from mailplat.app.assembly import Parts
from mailplat.app.filtering import Filtering
from mailplat.app.own_mail import OwnMail
from mailplat.config.options import Configuration
from mailplat.model.address import Address
from mailplat.model.errors import ConfigurationFault
from mailplat.net.web import WebClient, WebOptions
from mailplat.proto.smtp.domains import ascii_domain

__all__ = ["make_reporting"]

_ANSWER = 65_536


def make_reporting(parts: Parts, filtering: Callable[[], Filtering]) -> TLSReporting | None:
    """Make what sends reports; None where there are none.

    Args:
        parts: What the server is made of.
        filtering: Gives the filters in force, of which some sign.

    Raises:
        ConfigurationFault: The sender is no address.
    """
    if parts.tls_counts is None:
        return None
    configuration = parts.configuration
    options = configuration.tls_reports
    sender = _sender(configuration)
    own = OwnMail(parts.spool, parts.routes, parts.queue_ids, filtering)
    authorities = configuration.relay.authorities
    return TLSReporting(
        parts.reactor,
        parts.now,
        SystemRandom().random,
        parts.resolver,
        WebClient(parts.reactor, WebOptions(answer=_ANSWER, per_server=0, authorities=authorities)),
        own.send,
        parts.tls_counts,
        ReportingOptions(sender, options.organization or sender.domain, options.within),
    )


def _sender(configuration: Configuration) -> Address:
    text = configuration.tls_reports.sender
    if not text:
        text = f"postmaster@{configuration.server.domains[0]}"
    local, _, named = text.rpartition("@")
    domain = ascii_domain(named)
    if not local.isascii() or not local or not domain or any(one in text for one in " <>,\r\n"):
        raise ConfigurationFault(
            f"tls_reports.sender: {text!r} is no mail address, as in tls-reports@example.org"
        )
    return Address(local, domain)
