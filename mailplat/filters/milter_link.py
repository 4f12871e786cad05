"""One connection to a milter: what is told goes out, what it answers comes back, in time.

Invariants:

- A phase ends within its time: connecting, a command, the content as a whole, the end of the
  message; a milter that says it is still at work has its phase's time again.
- After any failure the connection is closed: nobody goes on in the middle of something.
- Every error names the milter's endpoint and the phase.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mailplat.model.errors import Unavailable
from mailplat.net.daemon import Daemon, Talk
from mailplat.proto.milter.conversation import Answer, MilterConversation, Progress
from mailplat.proto.milter.events import Command
from mailplat.proto.milter.negotiation import Agreed

__all__ = ["MilterLink", "Phases"]

_FLUSH = 65536
"""Bytes that may wait for more before they are sent."""


@dataclass(frozen=True, slots=True)
class Phases:
    """How long each phase may take, in seconds.

    Attributes:
        connect: Until the milter answered the offer.
        command: A command's answer.
        content: All of header and body.
        end: The answer to the end of the message.
    """

    connect: float
    command: float
    content: float
    end: float


class MilterLink:
    """A connection, opened when it is first needed, and again after a failure.

    Args:
        daemon: Where the milter listens.
        phases: How long things may take.
        most_body: Bytes that may replace a message's body.
        reuse: Tells whether another SMTP connection may follow on the same one.
    """

    def __init__(
        self, daemon: Daemon, phases: Phases, *, most_body: int, reuse: Callable[[], bool]
    ) -> None:
        self._daemon = daemon
        self._phases = phases
        self._most_body = most_body
        self._reuse = reuse
        self._talk: Talk | None = None
        self._conversation: MilterConversation | None = None
        self._waiting = 0

    @property
    def conversation(self) -> MilterConversation | None:
        """What is being said; None while there is no connection."""
        return self._conversation

    @property
    def reused(self) -> bool:
        """Whether the connection served another one before."""
        return self._talk is not None and self._talk.reused

    async def open(self, *, new: bool = False) -> MilterConversation:
        """Connect, and agree on what holds.

        Raises:
            Unavailable: That failed.
        """
        if self._conversation is not None:
            return self._conversation
        self._talk = talk = await self._daemon.take(self._phases.connect, new=new)
        if talk.memory is None:
            talk.memory = MilterConversation(most_body=self._most_body)
        conversation: MilterConversation = talk.memory
        self._conversation = conversation
        try:
            if conversation.agreed is None:
                talk.limit(self._phases.connect, "negotiation")
                await self._event(talk, conversation, self._phases.connect)
            talk.unlimited()
        except Exception:
            await self.drop()
            raise
        return conversation

    async def tell(self, command: Command, data: bytes, macros: Mapping[str, str]) -> Answer | None:
        """Tell something; give the answer, or None where there is none.

        Raises:
            Unavailable: The milter failed.
        """
        talk, conversation = self._talk, self._conversation
        assert talk is not None
        assert conversation is not None
        try:
            if not conversation.wants(command) and command is not Command.MAIL:
                return None
            seconds = self._begin(talk, command)
            if not conversation.tell(command, data, macros):
                self._waiting += len(data)
                if self._waiting > _FLUSH:
                    await self.flush()
                return None
            event = await self._event(talk, conversation, seconds)
        except Exception:
            await self.drop()
            raise
        assert isinstance(event, Answer)
        return event

    def _begin(self, talk: Talk, command: Command) -> float:
        """Begin the phase of a command, or stay in it."""
        phases = self._phases
        if command in (Command.DATA, Command.HEADER, Command.END_OF_HEADERS, Command.BODY):
            if talk.phase != "content":
                talk.limit(phases.content, "content")
            return phases.content
        seconds = phases.end if command is Command.END_OF_MESSAGE else phases.command
        if command is Command.CONNECT and talk.reused:
            seconds = phases.connect  # it may not know that another connection follows
        talk.limit(seconds, command.name.lower().replace("_", " "))
        return seconds

    async def flush(self) -> None:
        """Send what waits.

        Raises:
            Unavailable: It cannot be sent.
        """
        talk, conversation = self._talk, self._conversation
        if talk is not None and conversation is not None:
            self._waiting = 0
            data = conversation.bytes_to_send()
            if data:
                await talk.send(data)

    def rest(self) -> None:
        """Nothing is asked for now; a phase begins anew with the next question."""
        if self._talk is not None:
            self._talk.phase = ""
            self._talk.unlimited()

    async def _event(
        self, talk: Talk, conversation: MilterConversation, seconds: float
    ) -> Answer | Agreed:
        await self.flush()
        while True:
            try:
                event = conversation.next_event()
            except Unavailable as error:
                raise Unavailable(f"{self._daemon.where}: {talk.phase}: {error.reason}") from None
            if isinstance(event, Progress):
                talk.limit(seconds, talk.phase)
            elif event is not None:
                return event
            else:
                conversation.receive(await talk.some())

    async def drop(self) -> None:
        """Close the connection at once, if there is one."""
        talk, self._talk, self._conversation = self._talk, None, None
        if talk is not None:
            await self._daemon.give_back(talk)

    async def end(self) -> None:
        """Say goodbye; the connection is closed, or kept for the next one."""
        talk, conversation = self._talk, self._conversation
        if talk is None or conversation is None:
            return
        keep = self._reuse() and conversation.reusable
        try:
            conversation.quit(reuse=keep)
            talk.limit(self._phases.command, "quit")
            await self.flush()
            if not keep:
                await talk.hang_up(self._phases.command)
        except Unavailable:
            keep = False  # it was faster than we
        except Exception:
            keep = False
            raise
        finally:
            self._talk = self._conversation = None
            await self._daemon.give_back(talk, keep=keep)
