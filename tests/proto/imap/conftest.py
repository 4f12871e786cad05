"""What the IMAP tests share: a client that feeds a conversation and notes what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from mailplat.proto.imap.commands.append import Append, AppendData, AppendNext, Replace
from mailplat.proto.imap.commands.event import Aborted, Command, Event
from mailplat.proto.imap.commands.mailboxes import Select
from mailplat.proto.imap.commands.session import AuthenticateResponse, Enable, Idle, Login
from mailplat.proto.imap.conversation import ServerConversation
from mailplat.proto.imap.limits import Limits
from mailplat.proto.imap.syntax import State

Answer = Callable[[ServerConversation, Event], None]


def willing(conversation: ServerConversation, event: Event) -> None:
    """Answer as a session would that grants everything."""
    if isinstance(event, (Append, AppendNext, Replace, Idle)):
        conversation.accept()
        return
    if isinstance(event, (AppendData, Aborted)):
        return
    if isinstance(event, Login | AuthenticateResponse):
        conversation.logged_in()
    elif isinstance(event, Select):
        conversation.mailbox_opened()
    elif isinstance(event, Enable):
        conversation.enable(event.capabilities)
    conversation.ok("done")


@dataclass
class Play:
    """A conversation with everything that came out of it."""

    conversation: ServerConversation
    answer: Answer = willing
    events: list[Event] = field(default_factory=list)
    output: bytes = b""

    def feed(self, *chunks: bytes) -> bytes:
        """Send chunks, answer every event; give what came back for them."""
        before = len(self.output)
        for chunk in chunks:
            self.conversation.receive(chunk)
            self.run()
        return self.output[before:]

    def run(self) -> None:
        """Answer what waits."""
        while True:
            event = self.conversation.next_event()
            self.output += self.conversation.bytes_to_send()
            if event is None:
                return
            self._note(event)
            self.answer(self.conversation, event)
            self.output += self.conversation.bytes_to_send()

    def end(self) -> None:
        """The client sends no more."""
        self.conversation.end_of_input()
        self.run()

    def _note(self, event: Event) -> None:
        last = self.events[-1] if self.events else None
        if isinstance(event, AppendData) and isinstance(last, AppendData):
            self.events[-1] = AppendData(last.data + event.data)
        else:
            self.events.append(event)

    @property
    def commands(self) -> list[Command]:
        """The commands among the events."""
        return [event for event in self.events if isinstance(event, Command)]


@pytest.fixture
def play() -> Callable[..., Play]:
    """Make a conversation in a state, with limits, that a session answers."""

    def start(
        state: State = State.SELECTED,
        limits: Limits | None = None,
        answer: Answer = willing,
        enable: Iterable[str] = (),
    ) -> Play:
        conversation = ServerConversation(limits=limits)
        conversation.state = state
        conversation.enable(list(enable))
        return Play(conversation, answer)

    return start
