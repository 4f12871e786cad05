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

__all__ = ["Trial", "TrialStep"]

_FINAL = (Action.REJECT, Action.DEFER, Action.DISCARD)
_OF_ONE = (Stage.RECIPIENT, Stage.RECIPIENT_OF_MESSAGE)


@dataclass(frozen=True, slots=True)
class TrialStep:
    """What one filter said at one stage.

    Attributes:
        stage: The stage's name.
        about: The recipient that it is about; ``""`` for none.
        filter: The filter's name.
        verdict: What it said.
        seconds: How long it took.
        changes: What it wants changed in the message, in words.
        state: What it changed of envelope, tags and scores, in words.
    """

    stage: str
    about: str
    filter: str
    verdict: Verdict
    seconds: float
    changes: tuple[str, ...] = ()
    state: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give it as what JSON can say."""
        reply = self.verdict.reply
        said = "" if reply is None else f"{reply.code} {reply.status} {reply.text}"
        return {
            "stage": self.stage,
            "about": self.about,
            "filter": self.filter,
            "action": self.verdict.action.name.lower(),
            "reply": said,
            "reason": self.verdict.reason,
            "mailbox": self.verdict.mailbox,
            "milliseconds": round(1000 * self.seconds, 1),
            "changes": [*self.changes, *self.state],
        }


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
        go_on: Whether the stages behind a refusal are tried too, as no server does.
    """

    message: bytes
    address: str
    helo: str
    account: Account | None
    sender: Address | None
    recipients: tuple[Address, ...]
    listener: str
    go_on: bool = False

    async def told(
        self,
        rules: Sequence[Rule],
        reactor: Any,
        hostname: str,
        is_local: Callable[[str], bool] = lambda domain: True,
    ) -> list[str]:
        """Ask the filters as a server would; give the lines to print."""
        steps, end = await self.walked(rules, reactor, hostname, is_local)
        lines = []
        for step in steps:
            lines.append(_line(step))
            lines += [f"    {words}" for words in (*step.changes, *step.state)]
        return [*lines, f"in the end: {end}"]

    async def walked(
        self,
        rules: Sequence[Rule],
        reactor: Any,
        hostname: str,
        is_local: Callable[[str], bool] = lambda domain: True,
    ) -> tuple[list[TrialStep], str]:
        """Ask the filters as a server would.

        Returns:
            What each of them said, and what became of the mail.
        """
        context = Context("trial", self.listener, Peer(self.address, 0, "", 0))
        chains = [
            (rule, Chains([rule], reactor, is_local=is_local).open_chain(context)) for rule in rules
        ]
        steps: list[TrialStep] = []
        end = await self._walk(context, chains, steps, hostname)
        for _, chain in chains:
            await chain.ask(Stage.DISCONNECT)
        return steps, end

    async def _walk(
        self,
        context: Context,
        chains: Sequence[tuple[Rule, IChain]],
        steps: list[TrialStep],
        hostname: str,
    ) -> str:
        wished: list[Change] = []
        severest, end = Action.CONTINUE, ""
        for stage, subject in self._stages(context, hostname):
            about = "" if stage not in _OF_ONE else _shown(str(subject[-1].address))
            refused = False
            for rule, chain in chains:
                if stage not in rule.filter.stages:
                    continue
                if subject and isinstance(subject[0], Mail):
                    subject = (replace(subject[0], changes=tuple(wished)), *subject[1:])
                before, began = _state(context), monotonic()
                verdict = await chain.ask(stage, *subject)
                took = monotonic() - began
                state = tuple(words for words in _state(context) if words not in before)
                changes = tuple(_changes(verdict.changes))
                name = rule.filter.name
                steps.append(TrialStep(stage.value, about, name, verdict, took, changes, state))
                wished += verdict.changes
                if stage is not Stage.RECIPIENT_OF_MESSAGE:  # that is said of one copy
                    severest = max(severest, verdict.action)
                if verdict.action is Action.ACCEPT:
                    return end or "accepted, and no other filter asked"
                if verdict.action in _FINAL and stage is not Stage.RECIPIENT_OF_MESSAGE:
                    refused, end = True, end or f"{verdict.action.name.lower()} at {stage}"
                    break
            if stage is Stage.RECIPIENT and (self.go_on or not refused):
                context.recipients.append(subject[0])
            elif stage is Stage.RECIPIENT and len(self.recipients) > 1:
                end = ""  # it concerns this recipient alone
            if stage is Stage.HEADERS and not context.recipients and not self.go_on:
                return "no recipient was taken"
            if end and not self.go_on:
                return end
        return end or severest.name.lower()

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


def _line(step: TrialStep) -> str:
    verdict, label = step.verdict, step.stage
    if step.stage == Stage.RECIPIENT_OF_MESSAGE:
        label = f"copy of <{step.about}>"
    words = f"{label:<10} {step.filter}: {verdict.action.name.lower()}"
    if verdict.reply is not None:
        words += f" ({verdict.reply.code} {verdict.reply.status} {verdict.reply.text})"
    elif verdict.reason:
        words += f" ({verdict.reason})"
    return f"{words}, {1000 * step.seconds:.1f} ms"


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
