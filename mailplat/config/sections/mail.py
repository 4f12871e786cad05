"""Where mail and accounts are kept, and its way: ``[store]``, ``[[folder]]``, ``[accounts]``...

The kinds of stores, accounts, filters and agents are plugins: here they are named by a part, a
prefix with an argument, and what is common to all kinds is set beside it.
"""

from __future__ import annotations

from enum import StrEnum

import attrs

from mailplat.config.option import option, required
from mailplat.config.values import Domain, Duration, PartOptions, PartText, Size, duration

__all__ = [
    "AccountsOptions",
    "CatchAll",
    "FolderOptions",
    "FolderUse",
    "PasswordScheme",
    "RoutesOptions",
    "ScramAlgorithm",
    "StoreOptions",
]


class FolderUse(StrEnum):
    """What a mailbox is for (RFC 6154 §2), without the backslash."""

    ALL = "all"
    ARCHIVE = "archive"
    DRAFTS = "drafts"
    FLAGGED = "flagged"
    JUNK = "junk"
    SENT = "sent"
    TRASH = "trash"


class PasswordScheme(StrEnum):
    """What new passwords are hashed with."""

    ARGON2ID = "ARGON2ID"
    BLF_CRYPT = "BLF-CRYPT"


class ScramAlgorithm(StrEnum):
    """What passwords can be proved by without being shown (RFC 5802)."""

    SHA_256 = "SCRAM-SHA-256"
    SHA_1 = "SCRAM-SHA-1"


@attrs.frozen(kw_only=True)
class StoreOptions:
    """Where mail is kept."""

    use: PartText = option(
        PartText("sql:sqlite:///mail.sqlite"),
        meaning="The store: `sql:sqlite:///PATH`, `sql:postgresql://USER@HOST/DATABASE`, "
        "`maildir:PATH`, `memory:`, or a plugin's. A relative path begins in "
        "`server.data_directory`.",
        precedent="Dovecot mail_location",
    )
    lock_time: Duration = option(
        duration("10s"),
        least=0.1,
        meaning="How long a change waits for another process that writes into the same "
        "database; then it fails, and the peer may try again.",
        precedent="SQLite busy_timeout; PostgreSQL lock_timeout",
    )
    max_keywords: int = option(
        50,
        unit="keywords",
        least=1,
        most=50,
        meaning="How many keywords the messages of a mailbox may have between them.",
    )
    options: PartOptions = option(
        PartOptions(),
        meaning="The store's own options; which there are, its page tells. They are checked like "
        "all others.",
        example={"poll": "30s"},
    )


@attrs.frozen(kw_only=True)
class FolderOptions:
    """A mailbox that every new account begins with, subscribed.

    If the file has none of these tables, they are Drafts, Sent, Junk, Trash and Archive.
    """

    name: str = required(meaning="Its name; `/` separates levels.", example="Sent")
    special_use: FolderUse | None = option(
        None,
        meaning="What it is for.",
        precedent="RFC 6154",
        example="sent",
    )


@attrs.frozen(kw_only=True)
class AccountsOptions:
    """Who may log in."""

    use: PartText = option(
        PartText("file:accounts"),
        meaning="The accounts: `file:PATH`, `sql:sqlite:///PATH`, or a plugin's. A relative path "
        "begins in `server.data_directory`.",
        precedent="Dovecot passdb",
    )
    scheme: PasswordScheme = option(
        PasswordScheme.ARGON2ID,
        meaning="What new passwords are hashed with; those there are keep their own scheme.",
        precedent="RFC 9106",
    )
    scram: tuple[ScramAlgorithm, ...] = option(
        (ScramAlgorithm.SHA_256,),
        meaning="The SCRAM algorithms that new passwords get keys for, besides their hash, so that "
        "clients need not show them. Whoever steals the keys may guess faster than from an "
        "Argon2 hash; an empty list makes none.",
        precedent="RFC 7677",
    )
    scram_iterations: int = option(
        100_000,
        unit="iterations",
        least=4096,
        most=2_000_000,
        meaning="How much work SCRAM's keys are, for who guesses and for each log-in's client.",
        precedent="RFC 7677 §4 (at least 4096)",
    )
    hash_threads: int = option(
        2,
        unit="threads",
        least=1,
        most=64,
        meaning="How many passwords are hashed at once; each may need 64 MiB of memory.",
        precedent="RFC 9106 §4 (64 MiB)",
    )
    hash_queue: int = option(
        1000,
        unit="log-ins",
        least=1,
        meaning="How many log-ins may wait for their password to be hashed.",
    )
    cache_entries: int = option(
        10_000,
        unit="passwords",
        least=0,
        meaning="How many checked passwords are remembered, under a keyed digest.",
        precedent="Dovecot auth_cache_size",
    )
    cache_time: Duration = option(
        duration("5m"),
        meaning="How long a checked password is remembered; a changed one counts at once.",
        precedent="Dovecot auth_cache_ttl (1 h)",
    )
    quota_storage: Size | None = option(
        None,
        meaning="What an account may keep where its own entry does not say.",
        precedent="RFC 9208 §5.1",
        example="10GiB",
    )
    quota_messages: int | None = option(
        None,
        unit="messages",
        least=0,
        meaning="How many messages an account may keep where its own entry does not say.",
        precedent="RFC 9208 §5.2",
        example=100_000,
    )


@attrs.frozen(kw_only=True)
class CatchAll:
    """An account that gets the mail of a domain's unknown addresses."""

    domain: Domain = required(meaning="One of `server.domains`.", example="example.org")
    account: str = required(meaning="The account's name.", example="alice@example.org")


@attrs.frozen(kw_only=True)
class RoutesOptions:
    """Where mail for our domains leads."""

    subaddress: str = option(
        "+",
        meaning="What separates a subaddress from the local part, as in `alice+lists`. Empty is "
        "for no subaddresses.",
        precedent="RFC 5233; Postfix recipient_delimiter",
    )
    postmaster: str = option(
        "",
        meaning="The account that gets the mail of `postmaster` and `abuse` in domains that "
        "have no account for them.",
        precedent="RFC 5321 §4.5.1; RFC 2142",
        example="alice@example.org",
    )
    quarantine: str = option(
        "Junk",
        meaning="The mailbox that mail goes to when a filter says quarantine.",
    )
    subaddress_mailbox: bool = option(
        False,
        meaning="Whether mail for a subaddress goes into the mailbox of that name, where the "
        "account has one.",
        precedent="Dovecot lmtp_save_to_detail_mailbox",
    )
    max_depth: int = option(
        10,
        unit="expansions",
        least=1,
        most=100,
        meaning="How many aliases may lead to each other.",
        precedent="Sendmail MaxAliasRecursion (10)",
    )
    max_members: int = option(
        10_000,
        unit="addresses",
        least=1,
        meaning="How many addresses one address may stand for, all aliases behind it together.",
        precedent="Postfix virtual_alias_expansion_limit (1000)",
    )
    catch_all: tuple[CatchAll, ...] = option(
        (), meaning="Accounts that get the mail of unknown addresses."
    )
