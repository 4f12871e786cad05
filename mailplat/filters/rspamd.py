"""Asks rspamd about a message, by HTTP, and does what it would do (/checkv2).

Invariants:

- A message passes only on an action that rspamd named after it had all of the message.
- rspamd's words reach the peer only as one printable line, and only if the operator wants it.
"""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred, DeferredSemaphore
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.secrets import Secret
from mailplat.config.values import Duration, Size, duration, size
from mailplat.filters.reading import blocks
from mailplat.filters.scanning import (
    MailAction,
    Outgoing,
    ScanOptions,
    client_name,
    judged,
    oversize,
    scanned,
    too_large,
)
from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.filters import Context, IFilter, IStages, Mail, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import headers
from mailplat.model.errors import Unavailable
from mailplat.model.verdict import Action, AddHeader, Change, RemoveHeader, Score, Verdict
from mailplat.net.web import Upload, WebClient, WebOptions
from mailplat.proto.rspamd import Answer, RspamdAction, read_answer, request_fields

__all__ = ["RspamdFilter", "RspamdOptions"]

_FLAG = "X-Spam"
_CHECK = "/checkv2"
_TOO_LARGE = 413  # Content Too Large (RFC 9110 §15.5.14)


@attrs.frozen(kw_only=True)
class RspamdOptions(ScanOptions):
    """How rspamd is asked."""

    on_reject: MailAction = option(
        MailAction.REJECT, meaning="What `reject` becomes.", precedent="rspamd's milter proxy"
    )
    on_soft_reject: MailAction = option(
        MailAction.DEFER, meaning="What `soft reject` becomes.", precedent="rspamd's milter proxy"
    )
    on_greylist: MailAction = option(
        MailAction.CONTINUE,
        meaning="What `greylist` becomes. rspamd's own greylisting says `soft reject` when it "
        "wants a mail to come again; this is for servers that do their own.",
        precedent="rspamd's milter proxy",
    )
    on_add_header: MailAction = option(
        MailAction.CONTINUE,
        meaning="What `add header` becomes; the field `X-Spam: Yes` is added in any case.",
        precedent="rspamd's milter proxy",
    )
    on_rewrite_subject: MailAction = option(
        MailAction.CONTINUE,
        meaning="What `rewrite subject` becomes; it is rewritten in any case.",
        precedent="rspamd's milter proxy",
    )
    on_quarantine: MailAction = option(
        MailAction.QUARANTINE, meaning="What `quarantine` becomes.", precedent="milter"
    )
    on_discard: MailAction = option(
        MailAction.DISCARD, meaning="What `discard` becomes.", precedent="milter"
    )
    messages: bool = option(
        True,
        meaning="Whether the peer is told what rspamd says of a refusal.",
        precedent="rspamd's milter proxy",
    )
    password: Secret | None = option(None, meaning="rspamd's password, where it wants one.")
    settings: str = option("", meaning="The id of rspamd's settings to use.", example="inbound")
    everything: bool = option(
        False,
        meaning="Whether rspamd tries all rules, even when the score for a refusal is reached.",
        precedent="rspamd's header Pass",
    )
    max_recipients: int = option(
        100,
        unit="recipients",
        least=1,
        meaning="How many recipients rspamd is told of; it takes 80 KiB of fields in all.",
        precedent="RFC 5321 §4.5.3.1.8",
    )
    max_answer: Size = option(
        size("1MiB"), least=1024, meaning="How long an answer of rspamd may be."
    )
    idle_connections: int = option(
        4, unit="connections", least=0, meaning="How many connections wait for the next message."
    )
    idle_timeout: Duration = option(
        duration("3s"),
        least=0.01,
        meaning="How long a connection waits for the next message.",
        precedent="below rspamd's keepalive (65 s) by far: a question is not asked twice",
    )


@implementer(IFilter)
class RspamdFilter:
    """Does what rspamd says.

    Args:
        name: What log lines and scores call it.
        where: rspamd's address: ``http://127.0.0.1:11333``.
        options: What becomes of mail.
        settings: The reactor, and the resolver that finds the client's name.
    """

    stages = (Stage.MESSAGE,)
    reads_only = True

    def __init__(
        self, name: str, where: str, options: RspamdOptions, settings: FilterSettings
    ) -> None:
        self.name = name
        self._options = options
        self._settings = settings
        self._url = where.rstrip("/") + _CHECK
        self._places = DeferredSemaphore(options.connections)
        self._client = WebClient(
            settings.reactor,
            WebOptions(
                connect=options.connect_timeout,
                timeout=options.time,
                answer=options.max_answer,
                per_server=options.idle_connections,
                idle=options.idle_timeout,
            ),
        )

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return _Checking(self)

    async def close(self) -> None:
        """Close the connections that wait."""
        await self._client.close()

    async def check(self, context: Context, mail: Mail) -> Verdict:
        """Have a message checked."""
        options, body = self._options, scanned(mail)
        if too_large(body, options):
            return oversize("rspamd", body.size, options)
        hostname = await client_name(context, self._settings, options.connect_timeout)
        fields = self._fields(context, mail, hostname)
        content: bytes | None = await self._places.run(
            lambda: Deferred.fromCoroutine(self._ask(fields, body))
        )
        if content is None:
            return oversize("rspamd", body.size, options)
        return self._decide(read_answer(content, mail.header), mail)

    async def _ask(self, fields: dict[str, str], body: IBody) -> bytes | None:
        whole = Outgoing(blocks(self._settings.reactor, body))
        upload = Upload(body.size, aiter(whole))
        answer = await self._client.ask("POST", self._url, headers=fields, content=upload)
        if answer.code == _TOO_LARGE:
            return None
        if answer.code != 200:
            raise Unavailable(f"{self._url}: status {answer.code}: {answer.body[:200]!r}")
        if not whole.sent:
            raise Unavailable(f"{self._url}: it answered before it had the message")
        return answer.body

    def _fields(self, context: Context, mail: Mail, hostname: str) -> dict[str, str]:
        options, sender = self._options, mail.envelope.sender.address
        return request_fields(
            sender="" if sender is None else str(sender),
            recipients=[str(one.address) for one in mail.envelope.recipients],
            address=context.peer.address,
            helo=context.helo,
            hostname=hostname,
            user=context.account.name if context.account is not None else "",
            queue_id=mail.queue_id,
            server=self._settings.hostname,
            settings=options.settings,
            password=options.password.reveal() if options.password is not None else "",
            everything=options.everything,
            most_recipients=options.max_recipients,
        )

    def _decide(self, answer: Answer, mail: Mail) -> Verdict:
        action = self._becomes(answer.action)
        changes: list[Change] = [Score(self.name, answer.score)]
        if headers.every(mail.header, _FLAG.encode("ascii")):
            changes.append(RemoveHeader(_FLAG))
        changes += answer.changes
        if answer.action in (RspamdAction.ADD_HEADER, RspamdAction.REWRITE_SUBJECT):
            changes.append(AddHeader(_FLAG, "Yes"))
        if answer.action is RspamdAction.REWRITE_SUBJECT and answer.subject:
            changes += [RemoveHeader("Subject"), AddHeader("Subject", answer.subject, on_top=False)]
        public = "Try again later" if action is Action.DEFER else "The message looks like spam"
        if self._options.messages and answer.message:
            public = answer.message
        reason = f"rspamd: {answer.action}, score {answer.score:g} of {answer.required:g}"
        if answer.symbols:
            reason += f" ({', '.join(answer.symbols)})"
        return judged(action, public, reason, changes)

    def _becomes(self, action: RspamdAction) -> Action:
        options = self._options
        becomes = {
            RspamdAction.NO_ACTION: MailAction.CONTINUE,
            RspamdAction.GREYLIST: options.on_greylist,
            RspamdAction.ADD_HEADER: options.on_add_header,
            RspamdAction.REWRITE_SUBJECT: options.on_rewrite_subject,
            RspamdAction.SOFT_REJECT: options.on_soft_reject,
            RspamdAction.REJECT: options.on_reject,
            RspamdAction.QUARANTINE: options.on_quarantine,
            RspamdAction.DISCARD: options.on_discard,
        }
        return becomes[action].action


@implementer(IStages)
class _Checking(Stages):
    def __init__(self, whole: RspamdFilter) -> None:
        self._whole = whole

    async def message(self, context: Context, mail: Mail) -> Verdict:
        """Have the message checked."""
        return await self._whole.check(context, mail)
