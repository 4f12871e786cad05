"""What the configuration says of one SMTP server that takes mail, and the agent made of it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import attrs

from mailplat.agents.smtp import RelayAgent, RelayOptions, Smarthost
from mailplat.agents.tls_demands import TLSPolicy
from mailplat.config.option import option
from mailplat.config.secrets import Secret
from mailplat.config.values import Duration, duration
from mailplat.interfaces.plugins import AgentSettings
from mailplat.model.credentials import PasswordCredentials
from mailplat.model.errors import ConfigurationFault
from mailplat.net.channel_options import ChannelOptions
from mailplat.net.client_tls import ClientContexts
from mailplat.net.smtp_pool import PoolOptions

__all__ = ["ServerTLS", "SmtpOptions", "make_smtp"]


class ServerTLS(StrEnum):
    """What is asked of TLS with the server."""

    NEVER = "never"
    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"
    VERIFIED = "verified"


@attrs.frozen(kw_only=True)
class SmtpOptions:
    """An SMTP server that takes mail."""

    tls: ServerTLS = option(
        ServerTLS.VERIFIED,
        meaning="`verified` wants a certificate for its name, `required` any, `opportunistic` "
        "encrypts where that is offered, `never` does not.",
        precedent="Postfix smtp_tls_security_level",
    )
    implicit_tls: bool = option(
        False, meaning="Whether TLS begins with the first byte, as on port 465."
    )
    user: str = option("", meaning="Who we log in as; empty for no log-in.")
    password: Secret | None = option(None, meaning="The password to log in with.")
    clear_password: bool = option(False, meaning="Whether to log in without TLS too.")
    authorities: Path | None = option(
        None, meaning="A PEM file with the certificates to trust. Not set, the system's."
    )
    connect_timeout: Duration = option(
        duration("30s"),
        least=1,
        meaning="How long connecting may take.",
        precedent="Postfix smtp_connect_timeout (30 s)",
    )
    connections: int = option(
        4,
        unit="connections",
        least=0,
        most=1000,
        meaning="How many idle connections are kept for the next mail.",
        precedent="Postfix smtp_connection_cache_on_demand",
    )
    max_recipients: int = option(
        100,
        unit="recipients",
        least=1,
        meaning="How many recipients one transaction has.",
        precedent="RFC 5321 §4.5.3.1.8 (100)",
    )


def make_smtp(arguments: Sequence[str], settings: AgentSettings) -> RelayAgent:
    """Make the agent of a host, and perhaps a port.

    Raises:
        ConfigurationFault: They cannot be read, or options contradict each other.
    """
    options: SmtpOptions = settings.options or SmtpOptions()
    host, port = "", "465" if options.implicit_tls else "25"
    match arguments:
        case [host]:
            pass
        case [host, port]:
            pass
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigurationFault("expected smtp:HOST or smtp:HOST:PORT")
    if bool(options.user) != (options.password is not None):
        raise ConfigurationFault("smtp: user and password belong together: say both, or neither")
    if settings.resolver is None:
        raise ConfigurationFault("smtp: nothing asks the DNS here")
    credentials = None
    if options.password is not None:
        credentials = PasswordCredentials(options.user, options.password.reveal())
    smarthost = Smarthost(
        host.strip("[]").lower().removesuffix("."),
        port=int(port),
        implicit_tls=options.implicit_tls,
        credentials=credentials,
        clear_passwords=options.clear_password,
    )
    return RelayAgent(
        settings.reactor,
        settings.resolver,
        ClientContexts(authorities=options.authorities),
        RelayOptions(
            channel=ChannelOptions(settings.hostname),
            pool=PoolOptions(per_server=options.connections),
            tls=TLSPolicy(options.tls.value),
            smarthost=smarthost,
            connect=options.connect_timeout,
            at_once=options.max_recipients,
        ),
    )
