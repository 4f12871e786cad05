"""Who this server is and where it listens: ``[server]``, ``[[listener]]``, ``[tls]``, ``[log]``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import attrs

from mailplat.config.option import option, required
from mailplat.config.secrets import Secret
from mailplat.config.sections.auth import Mechanism
from mailplat.config.values import (
    Domain,
    Duration,
    EndpointText,
    IPAddress,
    Network,
    duration,
)

__all__ = [
    "ListenerOptions",
    "ListenerProtocol",
    "LogFormat",
    "LogLevel",
    "LogOptions",
    "ServerOptions",
    "TLSHost",
    "TLSOptions",
    "TLSUse",
    "TLSVersion",
]


class ListenerProtocol(StrEnum):
    """What is spoken on a port."""

    SMTP = "smtp"
    SUBMISSION = "submission"
    SUBMISSIONS = "submissions"
    LMTP = "lmtp"
    POP3 = "pop3"
    POP3S = "pop3s"
    IMAP = "imap"
    IMAPS = "imaps"


class TLSUse(StrEnum):
    """How a port comes to TLS."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


class TLSVersion(StrEnum):
    """A version of TLS that may still be used (RFC 8996)."""

    TLS12 = "1.2"
    TLS13 = "1.3"


class LogFormat(StrEnum):
    """What a line of the log looks like."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


@attrs.frozen(kw_only=True)
class ServerOptions:
    """Who this server is."""

    hostname: str = option(
        "",
        meaning="The server's own name: in greetings, in trace fields, in its certificate. "
        "Empty takes the machine's full name.",
        precedent="Postfix myhostname",
        example="mail.example.org",
    )
    domains: tuple[Domain, ...] = option(
        (Domain("localhost"),),
        meaning="The domains whose mail is kept here. Mail for any other is taken only from "
        "clients that logged in.",
        precedent="Postfix virtual_mailbox_domains",
        example=("example.org", "example.net"),
    )
    listen: tuple[IPAddress, ...] = option(
        (IPAddress("0.0.0.0"),),
        meaning="The addresses of the standard listeners. `0.0.0.0` is every IPv4 address, `::` "
        "every address of both kinds where the system maps IPv4 into IPv6.",
        precedent="Dovecot listen",
    )
    port_offset: int = option(
        0,
        unit="ports",
        least=0,
        most=64000,
        meaning="Added to the standard port numbers, so that an unprivileged user can run the "
        "server: 10000 turns 25 into 10025.",
    )
    data_directory: Path = option(
        Path("data"),
        meaning="Where mail, accounts, temporary files and other state are kept: relative paths "
        "in `store.use` and `accounts.use` begin here.",
        precedent="Postfix data_directory",
    )
    shutdown_timeout: Duration = option(
        duration("30s"),
        meaning="How long running transactions may take to end when the server is stopped.",
    )


@attrs.frozen(kw_only=True)
class ListenerOptions:
    """A port that is listened on.

    If the file has none of these tables, the standard ports serve: SMTP 25, submission 587 and
    465, POP3 110 and 995, IMAP 143 and 993, on each address of `server.listen`, each plus
    `server.port_offset`. With any of these tables, only what they list serves.
    """

    protocol: ListenerProtocol = required(
        meaning="What is spoken there. `smtp` takes mail from other servers; `submission` and "
        "`submissions` take mail from users, who log in.",
        example="imaps",
    )
    endpoint: EndpointText = option(
        EndpointText(""),
        meaning="Where to listen, as a server endpoint of Twisted's. Empty is the protocol's "
        "standard port on each address of `server.listen`; `lmtp` has none.",
        precedent="Twisted serverFromString",
        example="tcp:993:interface=192.0.2.1",
    )
    name: str = option(
        "",
        meaning="What the log and the filters call it. Empty takes the protocol.",
        example="imaps-office",
    )
    tls: TLSUse | None = option(
        None,
        meaning="How the port comes to TLS. By default `implicit` for `submissions`, `pop3s` and "
        "`imaps`, `none` for `lmtp`, `starttls` for the others.",
        precedent="RFC 8314",
        example="starttls",
    )
    require_tls: bool | None = option(
        None,
        meaning="Whether log-ins on this port need TLS. By default as `auth.require_tls` says.",
        example=True,
    )
    mechanisms: tuple[Mechanism, ...] = option(
        (),
        meaning="The SASL mechanisms offered on this port. Empty takes `auth.mechanisms`.",
        example=("SCRAM-SHA-256", "PLAIN"),
    )
    client_authorities: Path | None = option(
        None,
        meaning="A PEM file with the authorities whose certificates clients may log in with, by "
        "`EXTERNAL`. Without one, clients are not asked for a certificate.",
        precedent="Dovecot ssl_ca; Postfix smtpd_tls_CAfile",
        example="tls/clients.pem",
    )
    proxies: tuple[Network, ...] = option(
        (),
        meaning="Proxies that bring every client of this port, and say by a PROXY header "
        "(version 1 or 2) whom they bring. With any of these nobody else may connect.",
        precedent="Postfix smtpd_upstream_proxy_protocol; Dovecot haproxy_trusted_networks",
        example=("192.0.2.10",),
    )


@attrs.frozen(kw_only=True)
class TLSHost:
    """A further certificate, for clients that ask for one of the names in it (SNI)."""

    certificate: Path = required(
        meaning="Its certificate and those of its issuers, in PEM.", example="tls/net.pem"
    )
    key: Path = required(meaning="Its private key, in PEM.", example="tls/net.key")


@attrs.frozen(kw_only=True)
class TLSOptions:
    """Certificates, and which TLS is spoken."""

    certificate: Path = option(
        Path("tls/server.pem"),
        meaning="The server's certificate and those of its issuers, in PEM.",
    )
    key: Path = option(Path("tls/server.key"), meaning="The certificate's private key, in PEM.")
    key_password: Secret | None = option(
        None,
        meaning="What the private key is encrypted with, if it is.",
        example={"file": "/etc/mailplat/key.password"},
    )
    minimum_version: TLSVersion = option(
        TLSVersion.TLS12, meaning="The oldest TLS that is spoken.", precedent="RFC 8996"
    )
    hosts: tuple[TLSHost, ...] = option(
        (), name="host", meaning="Further certificates, for other names (SNI, RFC 6066)."
    )


@attrs.frozen(kw_only=True)
class LogOptions:
    """The log."""

    format: LogFormat = option(
        LogFormat.TEXT, meaning="What a line looks like: for people, or one JSON object."
    )
    level: LogLevel = option(LogLevel.INFO, meaning="The mildest events that are logged.")
    file: Path | None = option(
        None,
        meaning="The file to write to. Without one, `twistd` decides: the terminal with `-n`, "
        "else `twistd.log` or what `--logfile` says.",
        example="/var/log/mailplat.log",
    )
