"""What a plugin is: a prefix that configuration names it by, and a factory.

A part is written in configuration as ``prefix:argument`` (``maildir:/var/mail``,
``pipe:/usr/bin/archive:timeout=5``).  Plugins are found by twisted.plugin in the package
`mailplat.plugins` of every distribution on sys.path; the modules there stay light and import
their part only when its factory is called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any

from zope.interface import Attribute, Interface

from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.agents import IDeliveryAgent
from mailplat.interfaces.blobs import IBlobStore
from mailplat.interfaces.dmarc import IDmarcResults
from mailplat.interfaces.filters import IFilter
from mailplat.interfaces.hooks import IReports
from mailplat.interfaces.policy_table import IPolicyTable
from mailplat.interfaces.resolver import IResolver
from mailplat.interfaces.routes import IRoute
from mailplat.interfaces.store import Folder, IStore
from mailplat.model.address import Address
from mailplat.model.mailbox import QuotaLimit
from mailplat.model.reply import Reply

__all__ = [
    "AgentSettings",
    "BlobSettings",
    "FilterSettings",
    "IAccountsPlugin",
    "IAgentPlugin",
    "IBlobsPlugin",
    "IFilterPlugin",
    "IOptionsPlugin",
    "IRoutePlugin",
    "IStorePlugin",
    "PasswordSettings",
    "RouteSettings",
    "StoreSettings",
]


@dataclass(frozen=True, slots=True)
class BlobSettings:
    """What every store of large bodies is told, whatever its kind.

    Attributes:
        reactor: Twisted's reactor, for its connections, threads and clock.
        directory: The data directory; relative paths in an argument begin there.
        access_key: By what name to ask a service; ``""`` for none.
        secret_key: The secret that goes with it.
        region: Where the service is, as it is called there.
        timeout: Seconds that one request to a service may take, besides what its bytes take.
        tries: How often a request is made that fails for a reason that may pass.
    """

    reactor: Any
    directory: str = "."
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    region: str = "us-east-1"
    timeout: float = 20.0
    tries: int = 3


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """What every store is told, whatever its kind.

    Attributes:
        reactor: Twisted's reactor, for its threads and its clock.
        directory: The data directory; relative paths in an argument begin there.
        folders: What a new home begins with besides INBOX.
        keyword_limit: Keywords a mailbox may have.
        quota: What a home may keep for which `IHome.set_limit` said nothing.
        lock_seconds: How long to wait for another process that writes to the same storage.
        blobs: Where large bodies are; None for the store's own storage.
        blob_size: Bodies of more bytes are large.
        blob_seconds: How long a large body stays that no message has any more.
        options: What the configuration says of this part alone (`IOptionsPlugin`).
    """

    reactor: Any
    directory: str
    folders: tuple[Folder, ...] = ()
    keyword_limit: int = 50
    quota: QuotaLimit = QuotaLimit()
    lock_seconds: float = 10.0
    blobs: IBlobStore | None = None
    blob_size: int = 128 << 10
    blob_seconds: float = 86_400
    options: Any = None


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """What every filter is told, whatever its kind.

    Attributes:
        reactor: Twisted's reactor, for its threads and its clock.
        hostname: The server's own name, as it stands in trace fields.
        directory: The data directory; relative paths in an argument begin there.
        resolver: What asks the DNS; None where nothing does.
        now: Tells the time, in seconds since 1970 UTC.
        options: What the configuration says of this part alone (`IOptionsPlugin`).
        reports: What happens to connections and mails; None where nobody says.
        policy: Where filters remember what they saw; None where nothing is remembered.
        verify: Asks the server that would be given a recipient's mail; its answer, or None where
            that is this one; None where nobody can be asked.
        dmarc_results: Gathers what DMARC found; None where domains get no reports.
    """

    reactor: Any
    hostname: str = "localhost"
    directory: str = "."
    resolver: IResolver | None = None
    now: Callable[[], float] = time
    options: Any = None
    reports: IReports | None = None
    policy: IPolicyTable | None = None
    verify: Callable[[Address], Awaitable[Reply | None]] | None = None
    dmarc_results: IDmarcResults | None = None


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What every delivery agent is told, whatever its kind.

    Attributes:
        reactor: Twisted's reactor, for its connections, threads and clock.
        hostname: What the server calls itself to others.
        directory: The data directory; relative paths in an argument begin there.
        resolver: What asks the DNS; None where nothing does.
        now: Tells the time, in seconds since 1970 UTC.
        options: What the configuration says of this part alone (`IOptionsPlugin`).
    """

    reactor: Any
    hostname: str = "localhost"
    directory: str = "."
    resolver: IResolver | None = None
    now: Callable[[], float] = time
    options: Any = None


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """What every route is told, whatever its kind.

    Attributes:
        reactor: Twisted's reactor, for its threads and its clock.
        name: What explanations are to call it.
        domains: Ours, in lower case, the first where bare names are.
        directory: The data directory; relative paths in an argument begin there.
        delimiter: What separates a subaddress from the local part; ``""`` for none.
        options: What the configuration says of this part alone (`IOptionsPlugin`).
    """

    reactor: Any
    name: str = "route"
    domains: tuple[str, ...] = ()
    directory: str = "."
    delimiter: str = "+"
    options: Any = None


@dataclass(frozen=True, slots=True)
class PasswordSettings:
    """How account backends keep and check passwords.

    Attributes:
        scheme: The {SCHEME} that new passwords are hashed with.
        threads: Threads that hash; each may need 64 MiB while it does.
        waiting: Checks that may wait for a thread; beyond that log-ins are `Unavailable`.
        cache_entries: Checked passwords whose outcome is remembered.
        cache_seconds: How long an outcome is remembered, in seconds; 0 remembers none.
        scram: The SCRAM algorithms that new passwords get keys for, besides their hash.
        scram_iterations: Of those keys (RFC 7677 §4: at least 4096).
        decoy_key: Makes the salts of names that do not exist: the same after a restart.
    """

    scheme: str = "ARGON2ID"
    threads: int = 2
    waiting: int = 1000
    cache_entries: int = 10_000
    cache_seconds: float = 300.0
    scram: tuple[str, ...] = ()
    scram_iterations: int = 100_000
    decoy_key: bytes = field(default=b"", repr=False)


_PASSWORDS = PasswordSettings()


class IStorePlugin(Interface):
    """Makes message stores."""

    prefix: str = Attribute("The word before the first colon.")

    def store(argument: str, settings: StoreSettings) -> IStore:
        """Make a store out of what follows the first colon.  Does not open it.

        Raises:
            ConfigurationFault: The argument cannot be read; the reason says what is expected.
        """


class IBlobsPlugin(Interface):
    """Makes stores of large bodies."""

    prefix: str = Attribute("The word before the first colon.")

    def blobs(argument: str, settings: BlobSettings) -> IBlobStore | None:
        """Make one out of what follows the first colon.  Does not open it.

        Returns:
            None to leave large bodies to the store itself.

        Raises:
            ConfigurationFault: The argument cannot be read; the reason says what is expected.
        """


class IAccountsPlugin(Interface):
    """Makes account backends."""

    prefix: str = Attribute("The word before the first colon.")

    def accounts(
        argument: str,
        reactor: Any,
        directory: str,
        passwords: PasswordSettings = _PASSWORDS,
    ) -> IAccounts:
        """Make a backend out of what follows the first colon.  Does not open it.

        Args:
            argument: What follows the first colon.
            reactor: Twisted's reactor, for its threads and its clock.
            directory: The data directory; relative paths in the argument begin there.
            passwords: How passwords are kept and checked.

        Raises:
            ConfigurationFault: The argument cannot be read; the reason says what is expected.
        """


class IOptionsPlugin(Interface):
    """A plugin, of stores, filters, agents or routes, whose parts have options of their own."""

    def options() -> type:
        """Give the attrs class that they are read into, made of `mailplat.config.option`.

        The part's factory finds an instance in ``settings.options``.
        """


class IFilterPlugin(Interface):
    """Makes filters."""

    prefix: str = Attribute("The word before the first colon.")

    def filter(name: str, argument: str, settings: FilterSettings) -> IFilter:
        """Make a filter out of what follows the first colon.

        Raises:
            ConfigurationFault: The argument cannot be read; the reason says what is expected.
        """


class IRoutePlugin(Interface):
    """Makes routes."""

    prefix: str = Attribute("The word before the first colon.")

    def route(argument: str, settings: RouteSettings) -> IRoute:
        """Make a route out of what follows the first colon.  Does not open it.

        Raises:
            ConfigurationFault: The argument cannot be read; the reason says what is expected.
        """


class IAgentPlugin(Interface):
    """Makes delivery agents."""

    prefix: str = Attribute("The word before the first colon.")

    def agent(
        arguments: Sequence[str], options: dict[str, str], settings: AgentSettings
    ) -> IDeliveryAgent:
        """Make an agent out of the words after the prefix and the ``name=value`` options.

        Raises:
            ConfigurationFault: They cannot be read; the reason says what is expected.
        """
