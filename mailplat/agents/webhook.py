"""The delivery agent that posts mail to a web service.

One request carries one mail for all recipients of the attempt, or for each of them, as the operator
says.  The request is signed as Standard Webhooks have it (webhook-id, webhook-timestamp,
webhook-signature), so that the service knows who sent it and can tell a repetition.

Invariants:

- The webhook-id of a mail and its recipients is the same at every attempt: a service that keeps the
  ids it has seen takes each mail once, whatever becomes of an answer.
- Everything that is told is in the signed content; nothing that matters is in a header alone.
- Only an answer that the service means (2xx, or a 4xx that no repetition changes) is final; all
  else, and no answer, is tried again by the queue.
- A message is read in blocks while it is sent; it is never in memory as a whole, unless it was.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from mailplat.agents.handover import answered
from mailplat.interfaces.agents import Attempt, IClosingAgent
from mailplat.interfaces.bodies import IBody
from mailplat.message.trace import return_path
from mailplat.model.envelope import Recipient
from mailplat.model.errors import ConfigurationFault, Corrupt, Unavailable
from mailplat.model.outcome import Bounced, Deferred, Delivered, Outcome
from mailplat.model.reply import Reply
from mailplat.net.web import Upload, WebAnswer, WebClient

__all__ = ["Format", "Hook", "WebhookAgent", "signing_key"]

_BLOCK = 3 << 16
"""Bytes of a message that are read at once; three bytes are four characters of base64."""

_AGAIN = frozenset({401, 403, 404, 407, 408, 409, 421, 423, 425, 429})
"""4xx that say nothing about the mail: the operator's or the moment's fault (RFC 9110 §15.5)."""

_UNPRINTABLE = re.compile(r"[^ -~]+")


class Format(StrEnum):
    """What a request's content is."""

    JSON = "json"
    """An object: queue_id, sender, recipients, arrived, size, and the message in base64."""
    RAW = "raw"
    """The message with Return-Path and a Delivered-To for each recipient on top."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A web service.

    Attributes:
        url: Where mail is posted.
        key: What requests are signed with; empty for no signature.
        format: What is posted.
        each: Whether each recipient has a request of its own.
        headers: Further header fields of each request: an Authorization.
        timeout: Seconds that a request may take.
    """

    url: str
    key: bytes = b""
    format: Format = Format.JSON
    each: bool = False
    headers: Mapping[str, str] | None = None
    timeout: float = 30.0


def signing_key(text: str) -> bytes:
    """Read a secret: ``whsec_`` and base64 (Standard Webhooks), or any other text as it is.

    Raises:
        ConfigurationFault: What follows ``whsec_`` is not base64, or the secret is too short.
    """
    key = text.strip().encode()
    if text.startswith("whsec_"):
        try:
            key = base64.b64decode(text.strip().removeprefix("whsec_"), validate=True)
        except binascii.Error as error:
            raise ConfigurationFault("what follows whsec_ in the secret is not base64") from error
    if len(key) < 16:
        raise ConfigurationFault("the secret is too short: expected 24 to 64 bytes")
    return key


@implementer(IClosingAgent)
class WebhookAgent:
    """Posts mail.

    Args:
        reactor: Its threads read messages.
        client: Asks the service; closed with the agent.
        hook: Where, and how.
        now: The time, seconds since 1970 UTC.
    """

    def __init__(
        self, reactor: Any, client: WebClient, hook: Hook, now: Callable[[], float]
    ) -> None:
        self._reactor = reactor
        self._client = client
        self._hook = hook
        self._now = now
        self._where = hook.url.partition("?")[0]  # a query may hold a secret

    async def deliver(self, attempt: Attempt) -> Mapping[Recipient, Outcome]:
        """See `IDeliveryAgent.deliver`."""
        outcomes: dict[Recipient, Outcome] = {}
        groups: Sequence[tuple[Recipient, ...]] = [attempt.recipients]
        if self._hook.each:
            groups = [(one,) for one in attempt.recipients]
        for recipients in groups:
            going_on = await answered(
                self._post(attempt, recipients, outcomes), outcomes, recipients, self._where
            )
            if not going_on:
                break
        for recipient in attempt.recipients:
            outcomes.setdefault(recipient, Deferred(_NOT_TRIED, self._where))
        return outcomes

    async def close(self) -> None:
        """Close idle connections."""
        await self._client.close()

    async def _post(
        self,
        attempt: Attempt,
        recipients: tuple[Recipient, ...],
        outcomes: dict[Recipient, Outcome],
    ) -> None:
        content = _content(self._hook.format, attempt, recipients)
        headers = {"Content-Type": content.type, **(self._hook.headers or {})}
        headers["Webhook-Id"] = identity = _identity(attempt.queue_id, recipients)
        if self._hook.key:
            stamp = str(int(self._now()))
            signed = hmac.new(self._hook.key, f"{identity}.{stamp}.".encode(), hashlib.sha256)
            await self._in_thread(content, _feed, signed, content)
            value = base64.b64encode(signed.digest()).decode("ascii")
            headers["Webhook-Timestamp"] = stamp
            headers["Webhook-Signature"] = f"v1,{value}"
        try:
            answer = await self._client.ask(
                "POST",
                self._hook.url,
                headers=headers,
                content=Upload(content.size, self._blocks(content)),
                timeout=self._hook.timeout,
            )
            outcome = _outcome(answer, self._where)
        except Unavailable as error:
            said = _UNPRINTABLE.sub(" ", error.reason)[:200]
            outcome = Deferred(Reply.of(451, said, "4.4.1"), self._where)
        outcomes.update(dict.fromkeys(recipients, outcome))

    async def _in_thread(self, content: _Content, call: Callable[..., Any], *args: Any) -> Any:
        if content.body.in_memory:
            return call(*args)
        return await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), call, *args)

    async def _blocks(self, content: _Content) -> AsyncIterator[bytes]:
        """Read a content while it is sent."""
        blocks = content.blocks()
        while block := await self._in_thread(content, next, blocks, b""):
            yield block


_NOT_TRIED = Reply.of(451, "Not tried yet", "4.3.2")


@dataclass(frozen=True, slots=True)
class _Content:
    """What is posted, before it is read.

    Attributes:
        type: The media type.
        head: Goes in front of the message.
        body: The message.
        tail: Goes behind it.
        encoded: Whether the message is sent in base64.
    """

    type: str
    head: bytes
    body: IBody
    tail: bytes
    encoded: bool

    @property
    def size(self) -> int:
        size = self.body.size
        return len(self.head) + (-(-size // 3) * 4 if self.encoded else size) + len(self.tail)

    def blocks(self) -> Iterator[bytes]:
        """Read it; may block on a file."""
        yield self.head
        for start in range(0, self.body.size, _BLOCK):
            block = self.body.read(start, start + _BLOCK)
            if len(block) != min(_BLOCK, self.body.size - start):
                raise Corrupt(f"a message of {self.body.size} bytes ends at {start + len(block)}")
            yield base64.b64encode(block) if self.encoded else block
        if self.tail:
            yield self.tail


def _content(form: Format, attempt: Attempt, recipients: Sequence[Recipient]) -> _Content:
    sender = "" if attempt.sender.address is None else str(attempt.sender.address)
    names = [str(recipient.address) for recipient in recipients]
    if form is Format.RAW:
        fields = b"".join(f"Delivered-To: {_clean(one)}\r\n".encode() for one in names)
        return _Content("message/rfc822", return_path(sender) + fields, attempt.body, b"", False)
    told = {
        "queue_id": attempt.queue_id,
        "sender": sender,
        "recipients": names,
        "arrived": attempt.arrived,
        "size": attempt.body.size,
    }
    head = json.dumps(told).removesuffix("}") + ', "message": "'
    return _Content("application/json", head.encode(), attempt.body, b'"}', True)


def _clean(address: str) -> str:
    return re.sub(r"[\x00-\x20\x7f]", "", address)


def _identity(queue_id: str, recipients: Sequence[Recipient]) -> str:
    """Name a mail for its recipients, the same at every attempt."""
    names = "\n".join(sorted(str(recipient.address) for recipient in recipients))
    return f"{queue_id}.{hashlib.sha256(names.encode()).hexdigest()[:16]}"


def _feed(signed: Any, content: _Content) -> None:
    for block in content.blocks():
        signed.update(block)


def _outcome(answer: WebAnswer, where: str) -> Outcome:
    said = _UNPRINTABLE.sub(" ", answer.body[:200].decode("utf-8", "replace")).strip()
    words = f"HTTP {answer.code} {said}".strip()
    if 200 <= answer.code < 300:
        return Delivered(where, Reply.of(250, words, "2.0.0"))
    if 400 <= answer.code < 500 and answer.code not in _AGAIN:
        return Bounced(Reply.of(550, words, "5.0.0"), where)
    return Deferred(Reply.of(451, words, "4.0.0"), where)
