"""A mail walked through the filters as a server would, without being sent.

What filters say is told in lines for a terminal: their names, verdicts, times and changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import monotonic, time
from typing import Any

from mailplat.filters.chain import Chains, Rule
from mailplat.interfaces.filters import Context, IChain, Mail, Stage
from mailplat.message import headers, trace
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.peer import Peer
from mailplat.model.verdict import (
    Action,
    AddHeader,
    Change,
    ChangeHeader,
    InsertHeader,
    RemoveHeader,
    ReplaceBody,
    Verdict,
)
from mailplat.spool.intake import MemoryBody

__all__ = ["Trial"]

_FINAL = (Action.REJECT, Action.DEFER, Action.DISCARD)


@dataclass(frozen=True, slots=True)
class Trial:
    """A mail to be tried.

    Attributes:
        message: Its bytes, with CRLF.
        address: The client's IP address.
        helo: What it calls itself.
        account: Who logged in, if anyone.
        sender: The reverse path; None is the null sender.
        recipients: The recipients.
        listener: The listener's name in the configuration.
    """

    message: bytes
    address: str
    helo: str
    account: Account | None
    sender: Address | None
    recipients: tuple[Address, ...]
    listener: str

    async def told(
        self,
        rules: Sequence[Rule],
        reactor: Any,
        hostname: str,
        is_local: Callable[[str], bool] = lambda domain: True,
    ) -> list[str]:
        """Ask the filters as a server would; give the lines to print."""
        context = Context("trial", self.listener, Peer(self.address, 0, "", 0))
        chains = [
            (rule, Chains([rule], reactor, is_local=is_local).open_chain(context)) for rule in rules
        ]
        lines: list[str] = []
        end = await self._walk(context, chains, lines, hostname)
        for _, chain in chains:
            await chain.ask(Stage.DISCONNECT)
        return [*lines, f"in the end: {end}"]

    async def _walk(
        self,
        context: Context,
        chains: Sequence[tuple[Rule, IChain]],
        lines: list[str],
        hostname: str,
    ) -> str:
        wished: list[Change] = []
        severest = Action.CONTINUE
        for stage, subject in self._stages(context, hostname):
            label = stage.value
            if stage is Stage.RECIPIENT_OF_MESSAGE:
                label = f"copy of <{_shown(str(subject[1].address))}>"
            for rule, chain in chains:
                if stage not in rule.filter.stages:
                    continue
                if subject and isinstance(subject[0], Mail):
                    subject = (replace(subject[0], changes=tuple(wished)), *subject[1:])
                before, began = _state(context), monotonic()
                verdict = await chain.ask(stage, *subject)
                lines.append(_line(rule.filter.name, label, verdict, monotonic() - began))
                lines += [f"    {words}" for words in _changes(verdict.changes)]
                lines += [f"    {words}" for words in _state(context) if words not in before]
                wished += verdict.changes
                if stage is not Stage.RECIPIENT_OF_MESSAGE:  # that is said of one copy
                    severest = max(severest, verdict.action)
                if verdict.action is Action.ACCEPT:
                    return "accepted, and no other filter asked"
                if verdict.action in _FINAL and stage is not Stage.RECIPIENT_OF_MESSAGE:
                    return f"{verdict.action.name.lower()} at {stage}"
            if stage is Stage.RECIPIENT:
                context.recipients.append(subject[0])
        return severest.name.lower()

    def _stages(self, context: Context, hostname: str) -> Iterator[tuple[Stage, tuple[Any, ...]]]:
        """Give the stages with what is asked at each, in order; the context follows."""
        yield Stage.CONNECT, ()
        yield Stage.HELLO, (self.helo,)
        context.helo = self.helo
        if self.account is not None:
            yield Stage.AUTH, (self.account,)
            context.account = self.account
        sender = context.sender = Sender(self.sender)
        yield Stage.SENDER, (sender,)
        for address in self.recipients:
            yield Stage.RECIPIENT, (Recipient(address),)
        received = trace.received(
            helo=self.helo,
            ip=self.address,
            host=hostname,
            protocol=trace.protocol(authenticated=self.account is not None),
            queue_id="trial",
            seconds=int(time()),
        )
        spelled = str(self.sender) if self.sender is not None else ""
        front = trace.return_path(spelled)
        message = front + received + self.message
        header, _ = headers.split(message)
        yield Stage.HEADERS, (header,)
        assert context.sender is not None
        envelope = Envelope(context.sender, tuple(context.recipients))
        mail = Mail(
            *("trial", envelope, header, MemoryBody(message)),
            front=len(front),
            trace=len(front) + len(received),
        )
        yield Stage.MESSAGE, (mail,)
        for recipient in tuple(context.recipients):
            yield Stage.RECIPIENT_OF_MESSAGE, (mail, recipient)


def _line(name: str, label: str, verdict: Verdict, seconds: float) -> str:
    words = f"{label:<10} {name}: {verdict.action.name.lower()}"
    if verdict.reply is not None:
        words += f" ({verdict.reply.code} {verdict.reply.status} {verdict.reply.text})"
    elif verdict.reason:
        words += f" ({verdict.reason})"
    return f"{words}, {1000 * seconds:.1f} ms"


def _changes(changes: Sequence[Change]) -> Iterator[str]:
    for change in changes:
        match change:
            case AddHeader(name, value):
                yield f"+ {name}: {_shown(value)}"
            case InsertHeader(name, exact):
                yield f"+ {name}: {_shown(_unfolded(exact))}"
            case ChangeHeader(name, index, b""):
                yield f"- {name} ({index})"
            case ChangeHeader(name, index, exact):
                yield f"= {name} ({index}): {_shown(_unfolded(exact))}"
            case RemoveHeader(name, None):
                yield f"- {name}"
            case RemoveHeader(name, bytes() as value):
                yield f"- {name}: {_shown(value.decode('utf-8', 'replace'))}"
            case ReplaceBody(body):
                yield f"= body of {len(body)} bytes"


def _unfolded(value: bytes) -> str:
    return headers.unfold(value).decode("utf-8", "replace")


def _shown(text: str) -> str:
    """Make foreign text safe for a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _state(context: Context) -> list[str]:
    """Tell what filters can change besides the message."""
    sender = context.sender.address if context.sender is not None else None
    return [
        f"sender <{_shown(str(sender or ''))}>",
        "recipients " + " ".join(f"<{_shown(str(one.address))}>" for one in context.recipients),
        *(f"tag {tag}" for tag in sorted(context.tags)),
        *(f"score {name} {points:g}" for name, points in sorted(context.scores.items())),
    ]
