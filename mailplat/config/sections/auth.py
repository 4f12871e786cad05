"""Logging in, the same for SMTP, POP3 and IMAP: ``[auth]``, ``[oauth]``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import attrs

from mailplat.config.option import option
from mailplat.config.secrets import Secret
from mailplat.config.values import Duration, duration

__all__ = ["AuthOptions", "CertificateField", "Mechanism", "OAuthOptions"]


class Mechanism(StrEnum):
    """A SASL mechanism."""

    SCRAM_SHA_256_PLUS = "SCRAM-SHA-256-PLUS"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_1_PLUS = "SCRAM-SHA-1-PLUS"
    SCRAM_SHA_1 = "SCRAM-SHA-1"
    OAUTHBEARER = "OAUTHBEARER"
    XOAUTH2 = "XOAUTH2"
    EXTERNAL = "EXTERNAL"
    PLAIN = "PLAIN"
    LOGIN = "LOGIN"


class CertificateField(StrEnum):
    """Where in a client's certificate the account's name stands."""

    SAN_EMAIL = "san-email"
    SUBJECT_EMAIL = "subject-email"
    COMMON_NAME = "common-name"


@attrs.frozen(kw_only=True)
class AuthOptions:
    """Logging in."""

    require_tls: bool = option(
        True,
        meaning="Whether log-ins need TLS: without it no mechanism is offered in clear.",
        precedent="RFC 8314 §4.1; Dovecot disable_plaintext_auth",
    )
    mechanisms: tuple[Mechanism, ...] = option(
        (
            Mechanism.SCRAM_SHA_256_PLUS,
            Mechanism.SCRAM_SHA_256,
            Mechanism.OAUTHBEARER,
            Mechanism.XOAUTH2,
            Mechanism.EXTERNAL,
            Mechanism.PLAIN,
            Mechanism.LOGIN,
        ),
        meaning="The SASL mechanisms offered, in this order, each where it can work: SCRAM where "
        "every account has keys for it (`accounts.scram`), `-PLUS` under TLS, tokens where "
        "`[oauth]` says how to check them, `EXTERNAL` to who showed a certificate.",
        precedent="Dovecot auth_mechanisms",
    )
    failure_delays: tuple[Duration, ...] = option(
        (duration("2s"), duration("4s"), duration("8s"), duration("15s")),
        meaning="How long a client's next log-ins wait after one, two, three... failures; the last "
        "holds for all further ones. Log-ins that wait count too.",
        precedent="Dovecot auth_penalty (2 s to 15 s)",
    )
    failures_by_connection: int = option(
        3,
        unit="log-ins",
        least=1,
        meaning="How many may fail before the connection is closed.",
        precedent="RFC 4954 §4 (at least 3)",
    )
    at_once: int = option(
        20,
        unit="log-ins",
        least=1,
        meaning="How many log-ins of one IPv4 address or IPv6 /64, none of which failed yet, are "
        "looked at side by side; further ones wait like failures.",
    )
    max_waiting: int = option(
        20,
        unit="log-ins",
        least=1,
        meaning="How many log-ins of one IPv4 address or IPv6 /64 may wait; one more is told to "
        "come back later.",
    )
    certificate_names: tuple[CertificateField, ...] = option(
        (CertificateField.SAN_EMAIL, CertificateField.SUBJECT_EMAIL),
        meaning="Where a client's certificate names its account, by a log-in name or an address; "
        "the first of these that it has counts.",
        precedent="RFC 4422 appendix A; Dovecot auth_ssl_username_from_cert",
    )


@attrs.frozen(kw_only=True)
class OAuthOptions:
    """Logging in with OAuth 2 tokens: `OAUTHBEARER` and `XOAUTH2`.

    They are offered if either `introspection` or `keys` is said.
    """

    introspection: str = option(
        "",
        meaning="The URL that is asked whether a token is good.",
        precedent="RFC 7662; Dovecot introspection_url",
        example="https://login.example.org/oauth2/introspect",
    )
    client: str = option(
        "",
        meaning="The name that this server gives there.",
        precedent="RFC 6749 §2.3.1",
        example="mailplat",
    )
    client_secret: Secret | None = option(
        None, meaning="The password that belongs to it.", example={"file": "/etc/mailplat/oauth"}
    )
    keys: str = option(
        "",
        meaning="A JSON Web Key Set, as a URL or a file: tokens are then JWTs, and are checked "
        "here.",
        precedent="RFC 7517, RFC 9068",
        example="https://login.example.org/oauth2/keys",
    )
    keys_refresh: Duration = option(
        duration("1h"),
        least=1,
        meaning="How long the keys are used before they are read again; a token with an unknown "
        "key makes that sooner, but not twice a minute.",
    )
    issuer: str = option(
        "",
        meaning="Who has to have issued a token (`iss`). Needed for `keys`.",
        precedent="RFC 7519 §4.1.1",
        example="https://login.example.org",
    )
    audience: str = option(
        "",
        meaning="For whom a token has to be (`aud`). Needed for `keys`.",
        precedent="RFC 7519 §4.1.3",
        example="mailplat",
    )
    scope: str = option(
        "",
        meaning="A scope that a token has to have. Empty asks for none.",
        precedent="RFC 6749 §3.3",
        example="mail",
    )
    account_claim: str = option(
        "email",
        meaning="The claim that names the account, by a log-in name or an address.",
        precedent="Dovecot username_attribute",
    )
    leeway: Duration = option(
        duration("30s"),
        meaning="How far clocks may differ.",
        precedent="RFC 7519 §4.1.4 (a few minutes at most)",
    )
    cache_time: Duration = option(
        duration("1m"),
        meaning="How long it is remembered that a token is good, never longer than it is; a token "
        "that is taken back works so much longer.",
        precedent="RFC 7662 §4",
    )
    timeout: Duration = option(duration("10s"), least=1, meaning="How long an answer may take.")
    authorities: Path | None = option(
        None,
        meaning="A PEM file with the certificates to trust at these URLs. Without one, those of "
        "the system.",
        example="/etc/mailplat/oauth-ca.pem",
    )
    discovery: str = option(
        "",
        meaning="The URL that tells clients how to get a token, shown to those whose token was "
        "refused.",
        precedent="RFC 7628 §3.2.2",
        example="https://login.example.org/.well-known/openid-configuration",
    )
