"""What the filters that ask a scanner have in common: bounds, oversize, verdicts, the message.

Invariants:

- A scanner gets the message as it would be delivered: with what an earlier filter put in its place.
- Nobody else's word on what we found stays in a message: fields of our names are taken out.
- A message that is not scanned for its size gets the operator's verdict, never a silent pass.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from enum import StrEnum

import attrs
from twisted.internet.defer import Deferred, TimeoutError
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.values import Duration, Size, duration
from mailplat.filters.asking import ResolverLookups
from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.filters import Context, Mail
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import headers
from mailplat.message.auth.iprev import confirmed_name
from mailplat.message.edit import edit_body, edit_header
from mailplat.model.reply import Reply
from mailplat.model.verdict import Action, Change, RemoveHeader, Verdict

__all__ = [
    "MailAction",
    "Outgoing",
    "ScanOptions",
    "client_name",
    "judged",
    "oversize",
    "printable",
    "scanned",
    "too_large",
    "without_forged",
]

_UNPRINTABLE = re.compile(r"[^ -~]")
_MOST_WORDS = 200


class MailAction(StrEnum):
    """What becomes of a mail."""

    CONTINUE = "continue"
    QUARANTINE = "quarantine"
    HOLD = "hold"
    DISCARD = "discard"
    DEFER = "defer"
    REJECT = "reject"

    @property
    def action(self) -> Action:
        """As a verdict has it."""
        return Action[self.name]


@attrs.frozen(kw_only=True)
class ScanOptions:
    """What can be said of every scanner."""

    max_size: Size | None = option(
        None,
        meaning="Messages above this size are not scanned; for them `on_oversize` holds.",
        example="50MiB",
    )
    on_oversize: MailAction = option(
        MailAction.DEFER,
        meaning="What becomes of a message that is too large to be scanned, for us or for the "
        "scanner.",
    )
    connections: int = option(
        100,
        unit="messages",
        least=1,
        meaning="How many messages are scanned at once; others wait for their turn.",
        precedent="clamd MaxQueue (100)",
    )
    connect_timeout: Duration = option(
        duration("5s"),
        least=0.01,
        meaning="How long connecting may take, and how long finding the client's name.",
        precedent="spamc --connect-timeout (600 s) and its like are longer than a client waits",
    )
    time: Duration = option(
        duration("25s"),
        least=0.01,
        meaning="How long one message may take in all. The filter's own `timeout` (30 s) should "
        "be longer, so that the log can tell what was late.",
        precedent="Postfix milter_command_timeout (30 s)",
    )


@implementer(IBody)
class _Replaced:
    """A message whose content a filter replaced: in memory already, and joined but once."""

    in_memory = True

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read(self, start: int, stop: int) -> bytes:
        """See `IBody.read`."""
        return self._data[start:stop]

    def close(self) -> None:
        """See `IBody.close`."""


class Outgoing:
    """Blocks on their way to a scanner.

    Attributes:
        sent: Whether all of them were taken.
    """

    def __init__(self, blocks: AsyncIterator[bytes]) -> None:
        self._blocks = blocks
        self.sent = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._blocks:
            yield block
        self.sent = True


def too_large(body: IBody, options: ScanOptions) -> bool:
    """Tell whether a message is larger than what is scanned."""
    return options.max_size is not None and body.size > options.max_size


def scanned(mail: Mail) -> IBody:
    """Give the bytes to scan: those that came, or what an earlier filter put in their place."""
    body = edit_body(mail.changes)
    if body is None:
        return mail.body
    replaced: IBody = _Replaced(edit_header(mail.header, mail.changes) + body)
    return replaced


def oversize(name: str, size: int, options: ScanOptions) -> Verdict:
    """Give the verdict on a message that is too large for a scanner."""
    action = options.on_oversize.action
    return judged(
        action,
        "The message is too large to be checked",
        f"{name}: {size} bytes are not scanned",
        code=552 if action is Action.REJECT else 451,
        status="5.3.4" if action is Action.REJECT else "4.3.4",
    )


def judged(
    action: Action,
    public: str,
    reason: str,
    changes: Iterable[Change] = (),
    *,
    code: int = 0,
    status: str = "",
) -> Verdict:
    """Make a verdict.

    Args:
        action: What becomes of the mail.
        public: What the peer is told, where it is told anything.
        reason: For the log, and the field of quarantined mail.
        changes: What is to be changed.
        code: The reply's code; 0 is the action's usual one, 550 or 451.
        status: Its enhanced status code; ``""`` for 5.7.1 or 4.7.1.
    """
    reply = None
    if action is Action.REJECT:
        reply = Reply.of(code or 550, printable(public), status or "5.7.1")
    elif action is Action.DEFER:
        reply = Reply.of(code or 451, printable(public), status or "4.7.1")
    return Verdict(action, reply, tuple(changes), printable(reason))


def printable(text: str) -> str:
    """Make a daemon's words safe for a reply or a log line: short, one line, ASCII."""
    return _UNPRINTABLE.sub("?", text)[:_MOST_WORDS]


def without_forged(header: bytes, names: Iterable[str]) -> list[Change]:
    """Take out the fields of these names that the message came with."""
    return [RemoveHeader(name) for name in names if headers.every(header, name.encode("ascii"))]


async def client_name(context: Context, settings: FilterSettings, seconds: float) -> str:
    """Find the name that leads to the client's address and back, within some seconds.

    Returns:
        The name; ``""`` where there is none, or none could be found in time.
    """
    if settings.resolver is None or not context.peer.address:
        return ""
    asking = confirmed_name(context.peer.address, ResolverLookups(settings.resolver))
    try:
        return await Deferred.fromCoroutine(asking).addTimeout(seconds, settings.reactor)
    except TimeoutError:
        return ""
