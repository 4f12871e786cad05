"""Who is always let in, and who never: a file of lines, read again when it changes.

::

    # what       whom                        words for the client
    allow client 192.0.2.0/24
    deny  sender spammer@example.net         We have had enough of you
    deny  sender *.example.com
    deny  recipient old@example.org          This address is closed

The first line that fits holds: for the client and the sender when a mail begins, for a recipient at
its RCPT.

Invariant: a file with a fault changes nothing; what was read before holds, and the log names the
line.  Without a file that could ever be read the filter fails, and its ``on_error`` counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import attrs
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.values import Duration, Size, duration, size
from mailplat.filters.clients import PolicyAction, judge
from mailplat.interfaces.filters import Context, IFilter, IStages, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.model.verdict import CONTINUE, Action, Tag, Verdict
from mailplat.net.networks import Networks

__all__ = ["AccessListFilter", "AccessListOptions", "Line", "read_lines"]

_log = Logger()

_LINE = re.compile(r"(allow|deny|defer)\s+(client|sender|recipient)\s+(\S+)(?:\s+(.*))?")


@attrs.frozen(kw_only=True)
class AccessListOptions:
    """The filter ``access_list``."""

    deny: PolicyAction = option(
        PolicyAction.REJECT, meaning="What becomes of what is denied.", precedent="Postfix access"
    )
    accept: bool = option(
        False,
        meaning="Whether what is allowed passes all other filters too, scanners and all; else it "
        "has the tag `allowed`, which others heed.",
        precedent="Postfix access (OK), which ends the restrictions of one list",
    )
    recheck: Duration = option(
        duration("5s"), least=0, meaning="How often it is looked whether the file changed."
    )
    max_size: Size = option(size("16MiB"), least=1, meaning="How large the file may be.")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file.

    Attributes:
        number: Which, from 1 on.
        verb: ``allow``, ``deny`` or ``defer``.
        words: For the client; ``""`` for the usual ones.
    """

    number: int
    verb: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Lines:
    """The whole file: names to be found at once, networks to be tried one after the other."""

    clients: tuple[tuple[Networks, Line], ...]
    senders: dict[str, Line]
    recipients: dict[str, Line]

    def client(self, address: str) -> Line | None:
        """Find the first line that fits a client."""
        return next((line for networks, line in self.clients if address in networks), None)

    def sender(self, address: Address | None) -> Line | None:
        """Find the first line that fits a sender; ``<>`` is the null sender."""
        return _first(self.senders, address)

    def recipient(self, address: Address) -> Line | None:
        """Find the first line that fits a recipient."""
        return _first(self.recipients, address)


def _first(named: dict[str, Line], address: Address | None) -> Line | None:
    if address is None:
        return named.get("<>")
    local, domain = address.key
    labels = domain.split(".")
    above = ("*." + ".".join(labels[start:]) for start in range(1, len(labels)))
    names = (f"{local}@{domain}", f"{local}@*", domain, *above, "*")
    return min(
        (named[name] for name in names if name in named), key=lambda one: one.number, default=None
    )


def read_lines(text: str) -> Lines:
    """Read a file's text.

    Raises:
        ConfigurationFault: A line cannot be read; says which.
    """
    clients: list[tuple[Networks, Line]] = []
    named: dict[str, dict[str, Line]] = {"sender": {}, "recipient": {}}
    for number, whole in enumerate(text.splitlines(), 1):
        stripped = whole.strip()
        if not stripped or stripped.startswith("#"):
            continue
        found = _LINE.fullmatch(stripped)
        if not found:
            raise ConfigurationFault(
                f"line {number}: expected allow, deny or defer, then client, sender or recipient, "
                f"then whom, not {stripped[:60]!r}"
            )
        line = Line(number, found[1], found[4] or "")
        if found[2] == "client":
            try:
                clients.append((Networks([found[3]]), line))
            except ValueError:
                raise ConfigurationFault(
                    f"line {number}: {found[3]!r} is no address and no network"
                ) from None
        else:
            named[found[2]].setdefault(found[3].lower(), line)
    return Lines(tuple(clients), named["sender"], named["recipient"])


@implementer(IFilter)
class AccessListFilter:
    """Looks into a file.

    Args:
        name: What log lines call it.
        argument: The file; a relative path begins in the data directory.
        options: What becomes of what.
        settings: The threads and the clock.

    Raises:
        ConfigurationFault: No file is named.
    """

    stages = (Stage.SENDER, Stage.RECIPIENT)
    reads_only = True

    def __init__(
        self, name: str, argument: str, options: AccessListOptions, settings: FilterSettings
    ) -> None:
        if not argument:
            raise ConfigurationFault("access_list: expected access_list:FILE")
        self.name = name
        self._path = Path(settings.directory, argument)
        self._options = options
        self._reactor = settings.reactor
        self._now = settings.now
        self._lines: Lines | None = None
        self._seen: tuple[int, int, int] | None = None
        self._look_at = 0.0
        self._why = ""

    def open(self) -> IStages:
        """See `IFilter.open`: nothing is remembered of a connection."""
        return _Looked(self)

    async def lines(self) -> Lines:
        """Give what the file says, as it was at most some seconds ago.

        Raises:
            Unavailable: It could not be read yet.
        """
        now = self._now()
        if now >= self._look_at:
            self._look_at = now + self._options.recheck
            pool = self._reactor.getThreadPool()
            await deferToThreadPool(self._reactor, pool, self._look)
        if self._lines is None:
            raise Unavailable(f"{self._path}: {self._why or 'it is being read'}")
        return self._lines

    def _look(self) -> None:
        """Read the file if it changed; in a thread."""
        try:
            about = self._path.stat()
            seen = (about.st_mtime_ns, about.st_size, about.st_ino)
            if seen == self._seen:
                return
            self._seen = seen
            if about.st_size > self._options.max_size:
                raise ConfigurationFault(f"it is larger than {self._options.max_size} bytes")
            self._lines = read_lines(self._path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            self._fail(str(error))
        except ConfigurationFault as fault:
            self._fail(fault.reason)
        else:
            _log.info("{file} was read", file=str(self._path))

    def _fail(self, why: str) -> None:
        if why != self._why:
            _log.error("{file} cannot be used: {why}", file=str(self._path), why=why)
        self._why = why

    def verdict(self, line: Line | None, what: str) -> Verdict:
        """Say what a line means."""
        if line is None:
            return CONTINUE
        reason = f"{self._path.name}:{line.number}"
        if line.verb == "allow":
            if self._options.accept:
                return Verdict(Action.ACCEPT, reason=reason)
            return Verdict(changes=(Tag("allowed"),), reason=reason)
        action = self._options.deny if line.verb == "deny" else PolicyAction.DEFER
        return judge(action, line.words or f"{what} refused", reason, tag="denied")


@implementer(IStages)
class _Looked(Stages):
    def __init__(self, listed: AccessListFilter) -> None:
        self._listed = listed

    async def sender(self, context: Context, sender: Sender) -> Verdict:
        """Look for the client and the sender; the earlier line holds."""
        lines = await self._listed.lines()
        client, named = lines.client(context.peer.address), lines.sender(sender.address)
        if client is not None and (named is None or client.number < named.number):
            return self._listed.verdict(client, "Client")
        return self._listed.verdict(named, "Sender")

    async def recipient(self, context: Context, recipient: Recipient) -> Verdict:
        """Look for a recipient."""
        lines = await self._listed.lines()
        return self._listed.verdict(lines.recipient(recipient.address), "Recipient")
