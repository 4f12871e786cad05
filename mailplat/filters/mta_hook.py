"""Asks a web service about a mail, at the stages that it wants (MTA Hooks).

Invariants:

- A mail passes only on an answer of status 200 with an action that is known.
- The token goes to the service alone: over HTTPS, or to this very machine.
- A message goes out in blocks as the service takes them; there is no second copy of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
from twisted.internet.defer import Deferred, DeferredSemaphore
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.secrets import Secret
from mailplat.config.values import Duration, Size, duration, size
from mailplat.filters.reading import blocks, each_block, in_thread
from mailplat.filters.scanning import (
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
from mailplat.message.edit import edit_body, edit_header
from mailplat.model.account import Account
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.model.verdict import Action, Verdict
from mailplat.net.web import Upload, WebClient, WebOptions
from mailplat.proto.mta_hook import Answer, Contents, HookAction, HookStage, read_answer, request

__all__ = ["MtaHookFilter", "MtaHookOptions"]

_STAGES = {
    HookStage.CONNECT: Stage.CONNECT,
    HookStage.EHLO: Stage.HELLO,
    HookStage.AUTH: Stage.AUTH,
    HookStage.MAIL: Stage.SENDER,
    HookStage.RCPT: Stage.RECIPIENT,
    HookStage.DATA: Stage.MESSAGE,
}
_ACTIONS = {
    HookAction.ACCEPT: Action.CONTINUE,
    HookAction.DISCARD: Action.DISCARD,
    HookAction.REJECT: Action.REJECT,
    HookAction.QUARANTINE: Action.QUARANTINE,
}
_TOO_LARGE = 413  # Content Too Large (RFC 9110 §15.5.14)
_AT_ONCE = 65536
"""Bytes of an answer that are read without a thread."""


@attrs.frozen(kw_only=True)
class MtaHookOptions(ScanOptions):
    """How a web service is asked (MTA Hooks)."""

    stages: tuple[HookStage, ...] = option(
        (HookStage.DATA,),
        meaning="The stages at which it is asked.",
        precedent="Stalwart's hooks (data)",
    )
    token: Secret | None = option(
        None, meaning="What is sent as `Authorization: Bearer`, over HTTPS or to this machine only."
    )
    authorities: Path | None = option(
        None,
        meaning="A file with the certificates of the authorities to trust, in PEM. Without one, "
        "the system's.",
        example="/etc/ssl/certs/ca-certificates.crt",
    )
    max_answer: Size = option(
        size("50MiB"),
        least=1024,
        meaning="How long an answer may be; it may hold a whole message in place of another.",
        precedent="Stalwart's hooks (50 MiB)",
    )
    idle_connections: int = option(
        4, unit="connections", least=0, meaning="How many connections wait for the next question."
    )
    idle_timeout: Duration = option(
        duration("3s"),
        least=0.01,
        meaning="How long a connection waits for the next question.",
        precedent="below what servers wait (Apache KeepAliveTimeout 5 s): nothing is asked twice",
    )


@implementer(IFilter)
class MtaHookFilter:
    """Does what a web service decides.

    Args:
        name: What log lines call it.
        url: The service.
        options: The stages, the token and the limits.
        settings: The reactor, our name, and the resolver that finds the client's.

    Raises:
        ConfigurationFault: The token would travel in clear, or no authority can be read.
    """

    def __init__(
        self, name: str, url: str, options: MtaHookOptions, settings: FilterSettings
    ) -> None:
        if options.token is not None and not _is_private(url):
            raise ConfigurationFault(
                f"mta_hook: {url} would get the token in clear: write https://"
            )
        self.name = name
        self.stages = tuple(_STAGES[stage] for stage in options.stages)
        self._url = url
        self._options = options
        self._settings = settings
        self._places = DeferredSemaphore(options.connections)
        self._fields = {"Content-Type": "application/json", "Accept": "application/json"}
        if options.token is not None:
            self._fields["Authorization"] = f"Bearer {options.token.reveal()}"
        self._client = WebClient(
            settings.reactor,
            WebOptions(
                connect=options.connect_timeout,
                timeout=options.time,
                answer=options.max_answer,
                per_server=options.idle_connections,
                idle=options.idle_timeout,
                authorities=options.authorities,
            ),
        )

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return _Hooked(self)

    async def close(self) -> None:
        """Close the connections that wait."""
        await self._client.close()

    async def ask(
        self,
        stage: HookStage,
        context: Context,
        *,
        sender: Sender | None = None,
        recipients: tuple[Recipient, ...] = (),
        mail: Mail | None = None,
    ) -> Verdict:
        """Ask at one stage.

        Raises:
            Unavailable: There is no answer that can be used.
        """
        reactor, body = self._settings.reactor, None
        about: dict[str, Any] = {"sender": sender, "recipients": recipients}
        header = b""
        if mail is not None:
            body = scanned(mail)
            if too_large(body, self._options):
                return oversize("mta_hook", body.size, self._options)
            header = mail.header
            if edit_body(mail.changes) is not None:
                header = edit_header(header, mail.changes)
            about |= {"queue_id": mail.queue_id, "header": header, "size": body.size}
        seconds = self._options.connect_timeout
        about["hostname"] = await client_name(context, self._settings, seconds)
        head = request(
            stage,
            context.peer,
            helo=context.helo,
            login=context.account.name if context.account is not None else "",
            server=self._settings.hostname,
            **about,
        )
        upload = Upload(len(head), _once(head))
        if body is not None:
            upload = await _with_contents(reactor, head, body, len(header))
        content: bytes | None = await self._places.run(
            lambda: Deferred.fromCoroutine(self._post(upload))
        )
        if content is None:
            return oversize("mta_hook", upload.size, self._options)
        if len(content) > _AT_ONCE:
            return self._decide(
                await in_thread(reactor, None, lambda: read_answer(content, header))
            )
        return self._decide(read_answer(content, header))

    async def _post(self, upload: Upload) -> bytes | None:
        whole = Outgoing(upload.blocks)
        content = Upload(upload.size, aiter(whole))
        answer = await self._client.ask("POST", self._url, headers=self._fields, content=content)
        if answer.code == _TOO_LARGE:
            return None
        if answer.code != 200:
            raise Unavailable(f"the hook answered with status {answer.code}")
        if not whole.sent:
            raise Unavailable("the hook answered before it had the message")
        return answer.body

    def _decide(self, answer: Answer) -> Verdict:
        action = _ACTIONS[answer.action]
        if action is Action.REJECT and 400 <= answer.code < 500:
            action = Action.DEFER
        public = answer.message or "Refused by policy"
        reason = f"the hook says {answer.action}: {answer.message}".rstrip(": ")
        code, status = answer.code, answer.status
        return judged(action, public, reason, answer.changes, code=code, status=status)


@implementer(IStages)
class _Hooked(Stages):
    def __init__(self, whole: MtaHookFilter) -> None:
        self._whole = whole

    async def connect(self, context: Context) -> Verdict:
        """Ask at the connection's beginning."""
        return await self._whole.ask(HookStage.CONNECT, context)

    async def hello(self, context: Context, name: str) -> Verdict:
        """Ask at EHLO."""
        return await self._whole.ask(HookStage.EHLO, context)

    async def auth(self, context: Context, account: Account) -> Verdict:
        """Ask at AUTH."""
        return await self._whole.ask(HookStage.AUTH, context)

    async def sender(self, context: Context, sender: Sender) -> Verdict:
        """Ask at MAIL."""
        return await self._whole.ask(HookStage.MAIL, context, sender=sender)

    async def recipient(self, context: Context, recipient: Recipient) -> Verdict:
        """Ask at RCPT; the recipient in question is the last one."""
        recipients = (*context.recipients, recipient)
        return await self._whole.ask(
            HookStage.RCPT, context, sender=context.sender, recipients=recipients
        )

    async def message(self, context: Context, mail: Mail) -> Verdict:
        """Ask about the message."""
        envelope = mail.envelope
        return await self._whole.ask(
            HookStage.DATA,
            context,
            sender=envelope.sender,
            recipients=envelope.recipients,
            mail=mail,
        )


def _is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent there."""
    parts = urlsplit(url)
    try:
        return parts.scheme == "https" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"


async def _once(head: bytes) -> AsyncIterator[bytes]:
    yield head


async def _with_contents(reactor: Any, head: bytes, body: IBody, start: int) -> Upload:
    """Measure a request with its message, so that its length can be said first."""

    def measured() -> int:
        contents, total = Contents(), 0

        def count(block: bytes) -> None:
            nonlocal total
            total += len(contents.spell(block))

        each_block(body, start, count)
        return total + len(contents.finish())

    return Upload(
        len(head) + await in_thread(reactor, body, measured), _spelled(reactor, head, body, start)
    )


async def _spelled(reactor: Any, head: bytes, body: IBody, start: int) -> AsyncIterator[bytes]:
    contents = Contents()
    yield head
    async for block in blocks(reactor, body, start):
        yield contents.spell(block)
    yield contents.finish()
