"""A client of straight answers for `mailplat.proto.smtp.server`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from mailplat.model.reply import Reply
from mailplat.proto.sasl.password import PASSWORD_MECHANISMS
from mailplat.proto.smtp.commands import Block, Event, Hello, Reset, Spoiled, StartTLS
from mailplat.proto.smtp.offers import Dialect, Limits, Offers
from mailplat.proto.smtp.server import ServerConversation


@dataclass
class Dialogue:
    """A conversation whose session accepts everything, and notes what it was asked.

    Attributes:
        conversation: The one under test.
        events: What was asked, blocks aside.
        messages: The messages that were accepted.
        sent: All that was said so far.
        decide: Gives a reply in place of acceptance.
    """

    conversation: ServerConversation
    decide: Callable[[Event], Reply | None] = lambda event: None
    events: list[Event] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    sent: bytes = b""
    _body: bytes = b""

    def __post_init__(self) -> None:
        self.conversation.greet()
        self.said()

    def said(self) -> bytes:
        """What was said since the last time."""
        said = self.conversation.bytes_to_send()
        self.sent += said
        return said

    def feed(self, data: bytes) -> bytes:
        """Give bytes, answer what they ask, and tell what is said to that."""
        self.conversation.receive(data)
        while (event := self.conversation.next_event()) is not None:
            self._answer(event)
        return self.said()

    def lines(self, data: bytes) -> list[str]:
        """Give bytes, and tell the lines said to that."""
        return self.feed(data).decode().splitlines()

    def codes(self, data: bytes) -> list[str]:
        """Give bytes, and tell the codes said to that, with their enhanced codes."""
        lines = self.lines(data)
        return [" ".join(line.split(" ")[:2]) for line in lines if line[3:4] == " "]

    def _answer(self, event: Event) -> None:
        if isinstance(event, Block):
            self._body += event.data
        else:
            self.events.append(event)
        reply = self.decide(event)
        if reply is not None:
            self.conversation.answer(reply)
        else:
            self.conversation.accept()
            if isinstance(event, StartTLS):
                self.conversation.tls_started()
        if isinstance(event, Block) and event.last:
            if reply is None:
                self.messages.append(self._body)
            self._body = b""
        elif isinstance(event, Spoiled | Reset | Hello | StartTLS):
            self._body = b""


@pytest.fixture
def dialogue() -> Callable[..., Dialogue]:
    """Makes dialogues; everything there is, is offered."""

    def make(
        decide: Callable[[Event], Reply | None] = lambda event: None,
        *,
        hello: bool = True,
        tls: bool = False,
        dialect: Dialect = Dialect.SMTP,
        limits: Limits | None = None,
        offers: Offers | None = None,
    ) -> Dialogue:
        conversation = ServerConversation(
            "mx.example",
            offers
            or Offers(
                smtputf8=True,
                dsn=True,
                chunking=True,
                binary=True,
                require_tls=True,
                starttls=True,
                mechanisms=PASSWORD_MECHANISMS,
            ),
            limits or Limits(),
            dialect=dialect,
            tls=tls,
        )
        made = Dialogue(conversation, decide)
        if hello:
            made.feed(b"EHLO c\r\n" if dialect is Dialect.SMTP else b"LHLO c\r\n")
            made.events.clear()
        return made

    return make
