"""Asks a milter (protocol version 6), as Postfix and sendmail do.

A milter sees a connection in the order that it happens.  Our filters are asked at stages, and may
be asked at some of them alone; so what a milter has not heard yet is told before what it is asked
about, and what it heard in vain is taken back (ABORT).

Invariants:

- At the end of a message the milter knows just the envelope that the message has.
- Nothing passes that it has not said yes to: what it cannot be asked fails the filter.
- What a milter accepts, it alone is asked no more about; the other filters still are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import attrs
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.values import Duration, Size, duration, size
from mailplat.filters.milter_link import MilterLink, Phases
from mailplat.filters.milter_macros import of_connection, of_message, of_recipient, of_sender
from mailplat.filters.reading import blocks
from mailplat.filters.scanning import client_name, printable
from mailplat.interfaces.filters import Context, IFilter, IStages, Mail, Stage, Stages
from mailplat.interfaces.hooks import Denial
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message.edit import edit_body, edit_header
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.errors import Unavailable
from mailplat.model.reply import Reply
from mailplat.model.verdict import CONTINUE, Action, Verdict
from mailplat.net.daemon import Daemon
from mailplat.proto.milter.answers import Word
from mailplat.proto.milter.changes import made_of
from mailplat.proto.milter.conversation import Answer, MilterConversation
from mailplat.proto.milter.events import (
    Command,
    chunks,
    client,
    fields,
    recipient_words,
    sender_words,
)
from mailplat.proto.milter.negotiation import Steps
from mailplat.proto.milter.packets import MOST_PACKET, text

__all__ = ["MilterFilter", "MilterOptions"]

_log = Logger()

_WORDS = {
    Word.REJECT: (Action.REJECT, Reply.of(550, "Command rejected", "5.7.1")),
    Word.TEMPORARY_FAILURE: (
        Action.DEFER,
        Reply.of(451, "Service unavailable, try again later", "4.7.1"),
    ),
    Word.CONNECTION_FAILURE: (Action.DEFER, Reply.of(421, "Closing the connection", "4.7.0")),
    Word.SHUTDOWN: (Action.DEFER, Reply.of(421, "Closing the connection", "4.7.0")),
}
_ONE_OF_SEVERAL = "a recipient was refused at the end of the message"


@attrs.frozen(kw_only=True)
class MilterOptions:
    """How a milter is asked."""

    connections: int = option(
        1000,
        unit="connections",
        least=1,
        meaning="How many SMTP connections have a milter connection at once; others wait for one.",
        precedent="Postfix default_process_limit (100): there, a process each",
    )
    connect_timeout: Duration = option(
        duration("5s"),
        least=0.01,
        meaning="How long it may take to connect and to agree on what is told, and how long to "
        "find the client's name.",
        precedent="Postfix milter_connect_timeout (30 s)",
    )
    command_timeout: Duration = option(
        duration("25s"),
        least=0.01,
        meaning="How long the answer to a command may take.",
        precedent="Postfix milter_command_timeout (30 s)",
    )
    content_timeout: Duration = option(
        duration("25s"),
        least=0.01,
        meaning="How long it may take to tell a message's header and body. The filter's own "
        "`timeout` (30 s) stands above this and `end_timeout` together.",
        precedent="Postfix milter_content_timeout (300 s), with the filter's timeout above it",
    )
    end_timeout: Duration = option(
        duration("25s"),
        least=0.01,
        meaning="How long the answer to the end of a message may take; it begins anew whenever "
        "the milter says that it is still at work.",
        precedent="Postfix milter_content_timeout (300 s), with the filter's timeout above it",
    )
    max_body: Size = option(
        size("50MiB"),
        least=1024,
        meaning="How long a body may be that the milter puts in place of the message's.",
        precedent="Postfix message_size_limit, which holds for it too",
    )
    reuse: bool = option(
        False,
        meaning="Whether a milter connection serves one SMTP connection after the other (QUIT_NC): "
        "rspamd does that; milters with libmilter 1.0.1 do not answer the second one, and then it "
        "is done no more.",
        precedent="Postfix and sendmail, which never do",
    )
    idle_connections: int = option(
        10,
        unit="connections",
        least=0,
        meaning="With `reuse`, how many connections wait for the next one.",
    )
    idle_timeout: Duration = option(
        duration("60s"),
        least=0.01,
        meaning="With `reuse`, how long a connection waits.",
        precedent="far below libmilter's own patience (7210 s)",
    )


@implementer(IFilter)
class MilterFilter:
    """Does what a milter says.

    Args:
        name: What log lines call it.
        where: The milter's endpoint.
        options: The limits.
        settings: The reactor, our name, and the resolver that finds the client's.

    Raises:
        ConfigurationFault: The endpoint cannot be read.
    """

    stages = (
        *(Stage.CONNECT, Stage.HELLO, Stage.SENDER, Stage.RECIPIENT, Stage.MESSAGE),
        *(Stage.DENY, Stage.DISCONNECT),
    )

    def __init__(
        self, name: str, where: str, options: MilterOptions, settings: FilterSettings
    ) -> None:
        self.name = name
        self.options = options
        self.settings = settings
        self._reuse = options.reuse
        self._daemon = Daemon(
            settings.reactor,
            where,
            connections=options.connections,
            connect=options.connect_timeout,
            most=4 * MOST_PACKET,
            idle=options.idle_connections if options.reuse else 0,
            idle_seconds=options.idle_timeout,
        )
        self._phases = Phases(
            options.connect_timeout,
            options.command_timeout,
            options.content_timeout,
            options.end_timeout,
        )

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return _Asking(self, self.link())

    def link(self) -> MilterLink:
        """Make a connection, which is not open yet."""
        return MilterLink(
            self._daemon,
            self._phases,
            most_body=self.options.max_body,
            reuse=lambda: self._reuse,
        )

    def not_reusable(self, why: str) -> None:
        """Note that the milter does not begin anew on a connection that it had."""
        if self._reuse:
            self._reuse = False
            _log.warn("{filter}: connections are not reused: {why}", filter=self.name, why=why)

    async def close(self) -> None:
        """Close the connections that wait."""
        await self._daemon.close()


class _Refused(Exception):
    """The milter said no while it was told what came before the question."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__()
        self.verdict = verdict


@implementer(IStages)
class _Asking(Stages):
    """One SMTP connection."""

    def __init__(self, whole: MilterFilter, link: MilterLink) -> None:
        self._whole = whole
        self._link = link
        self._lock = DeferredLock()
        self._client: str | None = None
        self._told_of = self._link_was_reused = False
        self._helo = ""
        self._sender: Sender | None = None
        self._recipients: list[Recipient] = []
        self._discarded: Verdict | None = None

    # -- stages

    async def connect(self, context: Context) -> Verdict:
        """Tell who connected."""
        return await self._in_turn(lambda: self._tell_client(context))

    async def hello(self, context: Context, name: str) -> Verdict:
        """Tell what the client calls itself."""

        async def work() -> None:
            await self._tell_client(context)
            await self._tell_helo(context, name)

        return await self._in_turn(work)

    async def sender(self, context: Context, sender: Sender) -> Verdict:
        """Tell MAIL."""

        async def work() -> None:
            await self._tell_greeting(context)
            await self._tell_sender(context, sender)
            if self._discarded is not None:
                raise _Refused(self._discarded)

        return await self._in_turn(work)

    async def recipient(self, context: Context, recipient: Recipient) -> Verdict:
        """Tell RCPT."""

        async def work() -> None:
            await self._tell_greeting(context)
            if context.sender is not None:
                stale = self._recipients and not context.recipients
                if stale or context.sender != self._sender:
                    await self._tell_sender(context, context.sender)
                await self._tell_recipient(recipient)

        return await self._in_turn(work)

    async def message(self, context: Context, mail: Mail) -> Verdict:
        """Tell the message, and do what the milter says of it."""

        async def work() -> Verdict:
            try:
                return await self._tell_message(context, mail)
            finally:
                self._sender, self._recipients = None, []

        return await self._in_turn(work)

    async def deny(self, context: Context, denial: Denial) -> None:
        """Tell recipients that were refused, and lines that are no commands, if it wants them."""

        async def work() -> None:
            if denial.recipient in self._recipients:
                self._recipients.remove(denial.recipient)
            conversation = self._link.conversation
            if conversation is None or conversation.agreed is None:
                return
            if denial.line:
                await self._link.tell(Command.UNKNOWN, text(denial.line), {})
            elif denial.stage == Stage.RECIPIENT and denial.by != self._whole.name:
                wanted = conversation.agreed.steps & Steps.REJECTED_RECIPIENTS
                if wanted and denial.recipient is not None and conversation.mid_message:
                    macros = of_recipient(denial.recipient, denial.reply)
                    words = recipient_words(denial.recipient)
                    await self._link.tell(Command.RCPT, words, macros)

        await self._in_turn(work)

    async def disconnect(self, context: Context) -> None:
        """Say goodbye."""
        await self._lock.run(lambda: Deferred.fromCoroutine(self._link.end()))

    # -- turns

    async def _in_turn(self, work: Callable[[], Awaitable[Verdict | None]]) -> Verdict:
        """Do one thing after the other: who tells of refusals waits for nobody."""

        async def turn() -> Verdict:
            try:
                verdict = await work()
                await self._link.flush()
            except _Refused as refused:
                verdict = refused.verdict
            except Exception:
                await self._link.drop()
                raise
            self._link.rest()
            return verdict or CONTINUE

        verdict: Verdict = await self._lock.run(lambda: Deferred.fromCoroutine(turn()))
        return verdict

    # -- telling: raises _Refused where the milter says no

    async def _tell_client(self, context: Context) -> None:
        """Tell who connected, unless the milter knows."""
        if self._link.conversation is not None and self._told_of:
            return
        if self._client is None:
            seconds = self._whole.options.connect_timeout
            self._client = await client_name(context, self._whole.settings, seconds)
        try:
            await self._begin(context, self._client)
        except Unavailable as error:
            if not self._link_was_reused:
                raise
            self._whole.not_reusable(error.reason)
            await self._begin(context, self._client, new=True)

    async def _begin(self, context: Context, name: str, *, new: bool = False) -> None:
        self._told_of, self._helo, self._sender = False, "", None
        self._link_was_reused = False
        await self._link.open(new=new)
        self._link_was_reused = self._link.reused
        peer = context.peer
        data = client(name, peer.address, peer.port)
        answer = await self._link.tell(Command.CONNECT, data, self._macros(context))
        self._told_of = True
        self._obey(answer)

    async def _tell_helo(self, context: Context, name: str) -> None:
        if name:
            self._helo = name
            answer = await self._link.tell(Command.HELO, text(name), self._macros(context))
            self._obey(answer)

    async def _tell_greeting(self, context: Context) -> None:
        """Tell all that comes before MAIL, unless the milter knows."""
        await self._tell_client(context)
        if context.helo != self._helo:
            await self._tell_helo(context, context.helo)

    async def _tell_sender(self, context: Context, sender: Sender) -> None:
        self._sender, self._recipients, self._discarded = sender, [], None
        macros = {**self._macros(context), **of_sender(context, sender)}
        self._obey(await self._link.tell(Command.MAIL, sender_words(sender), macros))

    async def _tell_recipient(self, recipient: Recipient) -> None:
        words, macros = recipient_words(recipient), of_recipient(recipient)
        self._obey(await self._link.tell(Command.RCPT, words, macros))
        self._recipients.append(recipient)

    async def _tell_envelope(self, context: Context, mail: Mail) -> None:
        """See that the milter knows the envelope that the message has."""
        sender, recipients = mail.envelope.sender, mail.envelope.recipients
        if sender != self._sender or self._recipients != list(recipients):
            await self._tell_sender(context, sender)
            for recipient in recipients:
                try:
                    await self._tell_recipient(recipient)
                except _Refused as refused:
                    if len(recipients) == 1:
                        raise
                    # the others' mail must not go with it, nor this one's come through
                    raise _Refused(Verdict.defer(_ONE_OF_SEVERAL)) from refused

    async def _tell_message(self, context: Context, mail: Mail) -> Verdict:
        await self._tell_greeting(context)
        await self._tell_envelope(context, mail)
        conversation = self._link.conversation
        assert conversation is not None
        if conversation.message_done:
            return self._discarded or CONTINUE
        # the milter is told what its predecessors made of the message, but not our own trace
        edited = edit_header(mail.header[mail.front :], mail.changes)
        own = mail.header[mail.front : mail.trace]
        told = edited.replace(own, b"", 1) if own else edited
        answer = await self._tell_content(conversation, mail, told)
        self._obey(answer)
        if answer is None or answer.word not in (Word.CONTINUE, Word.ACCEPT):
            return self._discarded or CONTINUE
        changes, reason = made_of(answer.changes, told, own if own in edited else b"")
        if reason is None:
            return Verdict(changes=changes) if changes else CONTINUE
        return Verdict(Action.QUARANTINE, changes=changes, reason=printable(reason) or "milter")

    async def _tell_content(
        self, conversation: MilterConversation, mail: Mail, header: bytes
    ) -> Answer | None:
        """Tell header and body; give the answer to the end of them, or to what decided before."""
        link, macros = self._link, of_message(mail)
        async for command, data in self._content(conversation, mail, header):
            answer = await link.tell(command, data, macros)
            if conversation.message_done:
                return answer
        return await link.tell(Command.END_OF_MESSAGE, b"", macros)

    async def _content(
        self, conversation: MilterConversation, mail: Mail, header: bytes
    ) -> AsyncIterator[tuple[Command, bytes]]:
        agreed = conversation.agreed
        assert agreed is not None
        yield Command.DATA, b""
        if conversation.wants(Command.HEADER):
            for data in fields(header, leading_space=bool(agreed.steps & Steps.LEADING_SPACE)):
                yield Command.HEADER, data
        yield Command.END_OF_HEADERS, b""
        if not conversation.wants(Command.BODY):
            return
        async for block in self._body(mail):
            for chunk in chunks(block):
                if not conversation.wants(Command.BODY):
                    return
                yield Command.BODY, chunk

    async def _body(self, mail: Mail) -> AsyncIterator[bytes]:
        replaced = edit_body(mail.changes)
        if replaced is not None:
            yield replaced
            return
        async for block in blocks(self._whole.settings.reactor, mail.body, len(mail.header)):
            yield block

    # -- small things

    def _macros(self, context: Context) -> Mapping[str, str]:
        return of_connection(context, self._whole.settings.hostname, self._client or "")

    def _obey(self, answer: Answer | None) -> None:
        """Go on, or make a refusal of what the milter said.

        Raises:
            _Refused: It said no.
        """
        if answer is None:
            return
        where = answer.command.name.lower().replace("_", " ")
        reason = f"milter: {answer.word.name.lower().replace('_', ' ')} at {where}"
        if answer.word is Word.REPLY and answer.reply is not None:
            reply = answer.reply
            action = Action.REJECT if reply.permanent else Action.DEFER
            raise _Refused(Verdict(action, reply, reason=f"{reason}: {printable(reply.text)}"))
        if answer.word in _WORDS:
            action, reply = _WORDS[answer.word]
            raise _Refused(Verdict(action, reply, reason=reason))
        if answer.word is Word.DISCARD:
            # RCPT's discards the mail, not this recipient's copy: it is said with the message
            self._discarded = Verdict(Action.DISCARD, reason=reason)
