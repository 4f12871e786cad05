"""Where mail leads besides accounts: `[[route]]`, `[[relay_host]]`, `[[backup_mx]]`, `[srs]`.

What all routes have in common is in ``[routes]``.
"""

from __future__ import annotations

from pathlib import Path

import attrs

from mailplat.config.option import option, required
from mailplat.config.secrets import Secret
from mailplat.config.values import Domain, Duration, PartOptions, PartText, duration

__all__ = ["BackupOptions", "RelayHostOptions", "RouteOptions", "SRSOptions"]


@attrs.frozen(kw_only=True)
class RouteOptions:
    """A route. They are asked in the order of these tables, before the accounts."""

    use: PartText = required(
        meaning="The route: `aliases:PATH` (as /etc/aliases), `virtual:PATH` (a line an address "
        "and what it stands for), `aliases-sql:PATH:QUERY` (SQLite; the query has `:address`, "
        "`:local`, `:domain`), or a plugin's. A relative path begins in `server.data_directory`.",
        example="aliases:/etc/aliases",
    )
    name: str = option(
        "", meaning="What explanations call it. Empty takes the prefix.", example="staff"
    )
    options: PartOptions = option(
        PartOptions(),
        meaning="The route's own options. `aliases` has `commands` and `include`: whether "
        "`|command` and `:include:file` are allowed.",
        example={"commands": True},
    )


@attrs.frozen(kw_only=True)
class RelayHostOptions:
    """A server that takes the mail for some domains, or from some senders, and relays it."""

    name: str = required(
        meaning="What the log calls it; for `mailplatctl queue` it is the agent `relay:NAME`.",
        example="office",
    )
    host: str = required(
        meaning="Its name or its address.",
        example="smtp.example.net",
        precedent="Postfix transport_maps, sender_dependent_relayhost_maps",
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
        example={"file": "/etc/mailplat/office.password"},
    )
    clear_password: bool = option(False, meaning="Whether to send the password without TLS too.")
    domains: tuple[str, ...] = option(
        (),
        meaning="The domains of recipients whose mail it takes; `*.example.net` is all below, "
        "`*` every one.",
        example=("example.net", "*.example.net"),
    )
    senders: tuple[str, ...] = option(
        (),
        meaning="The senders whose mail it takes, by address or domain; a recipient's domain "
        "goes before.",
        example=("alice@example.org", "example.com"),
    )


@attrs.frozen(kw_only=True)
class BackupOptions:
    """A domain of others that mail is taken for while its own servers are away.

    The mail goes to its mail exchangers of a lower preference value than ours.
    """

    domain: Domain = required(meaning="The domain.", example="example.net")
    recipients: Path | None = option(
        None,
        meaning="A file with its addresses, a line each: others are refused. Without one, mail "
        "for everybody is taken.",
        precedent="Postfix relay_recipient_maps",
        example="/etc/mailplat/example.net.recipients",
    )


@attrs.frozen(kw_only=True)
class SRSOptions:
    """Rewriting the senders of forwarded mail, so that SPF holds (SRS)."""

    secret: Secret | None = option(
        None,
        meaning="The key that rewritten addresses are signed with. Without one, senders are left "
        "as they are.",
        precedent="postsrsd",
        example={"file": "/etc/mailplat/srs.secret"},
    )
    old_secrets: tuple[Secret, ...] = option(
        (), meaning="Keys that signed before, and whose addresses still lead back."
    )
    domain: Domain | None = option(
        None,
        meaning="The domain of rewritten addresses. Without one, the first of `server.domains`.",
        example="example.org",
    )
    max_age: Duration = option(
        duration("21d"),
        least=86400,
        most=86400 * 500,
        meaning="How long a rewritten address leads back, in whole days.",
        precedent="libsrs2 (21 days)",
    )
