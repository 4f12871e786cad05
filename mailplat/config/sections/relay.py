"""Bringing mail to other servers: ``[relay]``, ``[smarthost]`` and ``[resolver]``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import attrs

from mailplat.config.option import option
from mailplat.config.secrets import Secret
from mailplat.config.sections.server import TLSVersion
from mailplat.config.values import Duration, IPAddress, Size, duration, size

__all__ = ["RelayOptions", "RelayTLS", "ResolverOptions", "SmarthostOptions"]


class RelayTLS(StrEnum):
    """What is asked of TLS with other servers."""

    NEVER = "never"
    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"
    VERIFIED = "verified"


@attrs.frozen(kw_only=True)
class RelayOptions:
    """How mail is brought to other servers."""

    tls: RelayTLS | None = option(
        None,
        meaning="`opportunistic` takes TLS where it is offered, whoever the server is, and goes "
        "in clear where that fails; `required` never goes in clear; `verified` also wants the "
        "server's name in a certificate of a known authority. By default `opportunistic`, and "
        "`verified` to a smarthost. What a domain publishes (DANE, MTA-STS) may raise it, a "
        "`[[tls_policy]]` replaces it.",
        precedent="Postfix smtp_tls_security_level (may); RFC 7435",
        example="required",
    )
    dane: bool = option(
        True,
        meaning="Whether a server has to prove to be the one whose certificate DNS names. Works "
        "with `resolver.validators` only.",
        precedent="RFC 7672; Postfix smtp_tls_security_level (dane)",
    )
    tls_version: TLSVersion = option(
        TLSVersion.TLS12, meaning="The oldest TLS that is spoken with other servers."
    )
    authorities: Path | None = option(
        None,
        meaning="A file with the certificates of the authorities to trust, in PEM. Without one, "
        "the system's.",
        example="/etc/ssl/certs/ca-certificates.crt",
    )
    chunking: bool = option(
        True,
        meaning="Whether to send messages by BDAT where the server offers it.",
        precedent="RFC 3030",
    )
    port: int = option(25, unit="port", least=1, most=65535, meaning="The port of mail exchangers.")
    max_addresses: int = option(
        5,
        unit="addresses",
        least=1,
        meaning="How many addresses of a domain's mail exchangers are tried in one attempt.",
        precedent="Postfix smtp_mx_address_limit",
    )
    max_recipients: int = option(
        100,
        unit="recipients",
        least=1,
        meaning="How many recipients one transaction has.",
        precedent="RFC 5321 §4.5.3.1.8",
    )
    max_mails: int = option(
        100, unit="mails", least=1, meaning="How many mails go over one connection."
    )
    parallel_domains: int = option(
        20,
        unit="domains",
        least=1,
        meaning="How many domains of one mail's recipients are served side by side.",
    )
    idle_by_server: int = option(
        20,
        unit="connections",
        least=0,
        meaning="How many connections to one server may wait for another mail.",
    )
    idle_total: int = option(
        400,
        unit="connections",
        least=0,
        meaning="How many connections may wait for another mail, to all servers together.",
    )
    idle_timeout: Duration = option(
        duration("5s"),
        meaning="How long a connection waits for another mail.",
        precedent="Postfix smtp_connection_cache_time_limit (2 s)",
    )
    dead_time: Duration = option(
        duration("5m"),
        meaning="How long a server that could not be reached is left alone.",
        precedent="Postfix minimal_backoff_time (5 min)",
    )
    connect_timeout: Duration = option(
        duration("30s"),
        meaning="How long connecting may take.",
        precedent="Postfix smtp_connect_timeout",
    )
    handshake_timeout: Duration = option(
        duration("60s"), meaning="How long the TLS handshake may take."
    )
    greeting_timeout: Duration = option(
        duration("5m"),
        meaning="How long the server may take to greet.",
        precedent="RFC 5321 §4.5.3.2.1",
    )
    command_timeout: Duration = option(
        duration("5m"),
        meaning="How long the server may take to answer EHLO, STARTTLS, AUTH, MAIL and RCPT.",
        precedent="RFC 5321 §4.5.3.2.2, §4.5.3.2.3",
    )
    data_timeout: Duration = option(
        duration("2m"),
        meaning="How long the server may take to answer DATA or BDAT.",
        precedent="RFC 5321 §4.5.3.2.4",
    )
    block_timeout: Duration = option(
        duration("3m"),
        meaning="How long the server may leave a block of the message unread.",
        precedent="RFC 5321 §4.5.3.2.5",
    )
    end_timeout: Duration = option(
        duration("10m"),
        meaning="How long the server may take to answer the message. A mail whose answer is not "
        "waited for may arrive twice.",
        precedent="RFC 5321 §4.5.3.2.6",
    )


@attrs.frozen(kw_only=True)
class SmarthostOptions:
    """One server that takes all mail for others, in place of their mail exchangers."""

    host: str = option(
        "",
        meaning="Its name or its address. Empty is for none: mail goes to mail exchangers.",
        precedent="Postfix relayhost",
        example="smtp.example.net",
    )
    port: int = option(
        587, unit="port", least=1, most=65535, meaning="Its port.", precedent="RFC 6409"
    )
    implicit_tls: bool = option(
        False,
        meaning="Whether TLS begins with the first byte, as it does on port 465.",
        precedent="RFC 8314 §3.3",
    )
    user: str = option(
        "", meaning="The name to log in with. Empty is for no log-in.", example="me@example.net"
    )
    password: Secret | None = option(
        None,
        meaning="The password to log in with.",
        example={"file": "/etc/mailplat/smarthost.password"},
    )
    clear_password: bool = option(False, meaning="Whether to send the password without TLS too.")
    token: Secret | None = option(
        None,
        meaning="An OAuth 2 token to log in with in place of a password; `user` goes with it.",
        precedent="RFC 7628",
        example={"env": "MAILPLAT_TOKEN"},
    )
    token_file: Path | None = option(
        None,
        meaning="A file that holds such a token. It is read for each log-in: another program keeps "
        "it fresh.",
        example="/run/mailplat/smarthost.token",
    )
    certificate: Path | None = option(
        None,
        meaning="Our own certificate, in PEM with those of its issuers, to show to servers that "
        "ask for one; without a password or a token it is what we log in with (`EXTERNAL`).",
        precedent="RFC 4422 appendix A; Postfix smtp_tls_cert_file",
        example="tls/client.pem",
    )
    certificate_key: Path | None = option(
        None, meaning="Its private key, in PEM.", example="tls/client.key"
    )


@attrs.frozen(kw_only=True)
class ResolverOptions:
    """How DNS is asked."""

    servers: tuple[IPAddress, ...] = option(
        (),
        meaning="The name servers, which have to be recursive. Empty takes those of "
        "`/etc/resolv.conf`.",
        precedent="resolv.conf(5)",
        example=("127.0.0.1",),
    )
    validators: tuple[IPAddress, ...] = option(
        (),
        meaning="Name servers that check DNSSEC, and that nobody can come between: on this "
        "machine, as unbound is. With any, only they are asked, and what they vouch for counts: "
        "DANE and REQUIRETLS need that.",
        precedent="RFC 7672 §2.1, RFC 6840 §5.8",
        example=("127.0.0.1",),
    )
    port: int = option(53, unit="port", least=1, most=65535, meaning="Their port.")
    hosts_file: bool = option(
        True, meaning="Whether `/etc/hosts` says where hosts are, before DNS does."
    )
    timeouts: tuple[Duration, ...] = option(
        (duration("2s"), duration("5s")),
        meaning="How long to wait for each server: a round through all of them each.",
        precedent="resolv.conf(5) timeout, attempts",
    )
    max_questions: int = option(
        200,
        unit="questions",
        least=1,
        meaning="How many questions are under way at once; further ones wait.",
    )
    cache_entries: int = option(
        10_000, unit="answers", least=0, meaning="How many answers are remembered."
    )
    cache_size: Size = option(size("16MiB"), meaning="How much memory they may take.")
    failure_time: Duration = option(
        duration("5s"),
        meaning="How long it is remembered that no server answered.",
        precedent="RFC 2308 §7.1 (5 min at most)",
    )
