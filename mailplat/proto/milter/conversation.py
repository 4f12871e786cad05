"""The mail server's side of one milter connection, as a pure state machine.

What is to be told goes in by `tell` and comes out, with its macros, of `bytes_to_send`; what the
milter sends goes in by `receive`, and `next_event` gives what it said.

Invariants:

- At most one command waits for its answer; what a milter says unasked is an error.
- A milter is told nothing that it does not want, nothing of a mail or a connection that it has
  decided about, and everything else in the order of the protocol.
- Changes come with the answer to the end of the message alone, from a milter that said it makes
  them, and bounded in number and size.
- After an error the conversation is over: nobody knows what the next bytes mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from mailplat.model.errors import Unavailable
from mailplat.model.reply import Reply
from mailplat.proto.milter.answers import ACTIONS, BodyPart, Modification, Word, modification, reply
from mailplat.proto.milter.events import COMMANDS, Command, macros
from mailplat.proto.milter.negotiation import (
    OURS,
    Agreed,
    MacroStage,
    Steps,
    offer,
    read_agreed,
    read_macros,
)
from mailplat.proto.milter.packets import PacketReader, packet

__all__ = ["USUAL_MACROS", "Answer", "MilterConversation", "Progress"]

USUAL_MACROS: Mapping[MacroStage, tuple[str, ...]] = {
    MacroStage.CONNECT: (
        *("j", "_", "v", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "{if_name}"),
        *("{if_addr}", "{client_addr}", "{client_name}", "{client_port}", "{client_ptr}"),
    ),
    MacroStage.HELO: (
        *("{tls_version}", "{cipher}", "{verify}", "{cert_subject}", "{cert_issuer}"),
    ),
    MacroStage.MAIL: (
        *("i", "{auth_type}", "{auth_authen}", "{auth_author}"),
        *("{mail_mailer}", "{mail_host}", "{mail_addr}"),
    ),
    MacroStage.RCPT: ("i", "{rcpt_mailer}", "{rcpt_host}", "{rcpt_addr}"),
    MacroStage.DATA: ("i",),
    MacroStage.END_OF_HEADERS: ("i",),
    MacroStage.END_OF_MESSAGE: ("i", "{msg_id}"),
}
"""What a milter is told that names no macros; sendmail's and Postfix's lists together."""

_OF_CONNECTION = {Command.CONNECT, Command.HELO}
_MAY_SKIP = {Command.RCPT, Command.HEADER, Command.BODY}
_REFUSALS = {Word.REJECT, Word.TEMPORARY_FAILURE, Word.REPLY, Word.CONNECTION_FAILURE}
_MOST_CHANGES = 1000
"""Changes of one message that are taken; the filter's own limit is far below."""


class Progress(Enum):
    """The milter is still at work."""

    PROGRESS = "progress"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a milter said of a command.

    Attributes:
        command: Which one.
        word: What it said.
        reply: Its own words, where it said ``REPLY``.
        changes: What it wants changed, at the end of the message.
    """

    command: Command
    word: Word
    reply: Reply | None = None
    changes: tuple[Modification, ...] = ()


@dataclass(slots=True)
class _Wanted:
    """What a milter wants changed so far.

    Attributes:
        changes: In order.
        body: Bytes of another body.
    """

    changes: list[Modification] = field(default_factory=list)
    body: int = 0


class MilterConversation:
    """One connection to a milter.

    Args:
        ours: What is offered.
        most_body: Bytes that may replace a message's body.

    Attributes:
        agreed: What holds; None until the milter answered the offer.
        mid_message: Whether a mail is under way.
    """

    def __init__(self, ours: Agreed = OURS, *, most_body: int = 50 * 1024 * 1024) -> None:
        self.agreed: Agreed | None = None
        self.mid_message = False
        self._ours = ours
        self._most_body = most_body
        self._input = PacketReader()
        self._output: list[bytes] = [offer(ours)]
        self._asked: Command | None = None
        self._connection_done = self._message_done = False
        self._skipped: set[Command] = set()
        self._wanted = _Wanted()

    # -- what we say

    @property
    def waiting(self) -> bool:
        """Whether the milter owes an answer."""
        return self.agreed is None or self._asked is not None

    @property
    def connection_done(self) -> bool:
        """Whether the milter has no more to say about this connection."""
        return self._connection_done

    @property
    def message_done(self) -> bool:
        """Whether the milter has no more to say about this mail."""
        return self._connection_done or self._message_done

    def wants(self, command: Command) -> bool:
        """Tell whether the milter is to be told a command now."""
        agreed, telling = self.agreed, COMMANDS[command]
        if agreed is None or self._connection_done or command in self._skipped:
            return False
        if command not in _OF_CONNECTION and command is not Command.UNKNOWN and self._message_done:
            return False
        return agreed.version >= telling.version and not agreed.steps & telling.unwanted

    def tell(self, command: Command, data: bytes, values: Mapping[str, str]) -> bool:
        """Tell a command with its macros, if the milter wants it.

        Args:
            command: Which.
            data: Its data, as `mailplat.proto.milter.events` writes it.
            values: The macros' values, by their names as milters write them.

        Returns:
            Whether an answer comes.
        """
        assert not self.waiting
        if command is Command.MAIL:
            self._begin_message()
        agreed, telling = self.agreed, COMMANDS[command]
        if agreed is None or not self.wants(command):
            return False
        if telling.macros is not None:
            names = agreed.macros.get(telling.macros, USUAL_MACROS[telling.macros])
            self._output.append(macros(command, names, values))
        self._output.append(packet(command, data))
        if agreed.steps & telling.silent:
            return False
        self._asked = command
        return True

    def _begin_message(self) -> None:
        if self.mid_message:
            self.abort()
        self._message_done = False
        self._skipped.clear()
        self._wanted = _Wanted()
        self.mid_message = True

    def abort(self) -> None:
        """Say that the mail comes to nothing (SMFIC_ABORT); it has no answer."""
        if self.mid_message and not self.message_done:
            self._output.append(packet("A"))
        self.mid_message = False

    def quit(self, *, reuse: bool = False) -> None:
        """Say that the connection is over; with reuse, another one is told of next (QUIT_NC)."""
        self.abort()
        self._output.append(packet("K" if reuse else "Q"))
        self._connection_done = self._message_done = False
        self._skipped.clear()

    @property
    def reusable(self) -> bool:
        """Whether the milter knows how to begin anew on the same connection."""
        clean = not self.waiting and not self._input.pending
        return clean and self.agreed is not None and self.agreed.version >= 6

    def bytes_to_send(self) -> bytes:
        """Take what is ready to go to the milter."""
        output = b"".join(self._output)
        self._output.clear()
        return output

    # -- what the milter says

    def receive(self, data: bytes) -> None:
        """Take bytes from the milter, cut anywhere."""
        self._input.receive(data)

    def next_event(self) -> Agreed | Answer | Progress | None:
        """Give what the milter said; None until more comes.

        Raises:
            Unavailable: It said what cannot be said here.
        """
        while True:
            found = self._input.next_packet()
            if found is None:
                return None
            event = self._understand(*found)
            if event is not None:
                return event

    def _understand(self, command: str, data: bytes) -> Agreed | Answer | Progress | None:
        if self.agreed is None:
            if command != "O":
                raise Unavailable(f"the milter answered the offer with {command!r}")
            self.agreed = read_agreed(data, self._ours)
            return self.agreed
        asked = self._asked
        if asked is None:
            raise Unavailable(f"the milter said {command!r} unasked")
        if command in ACTIONS or command == "l":
            self._change(asked, command, data)
            return None
        try:
            word = Word(command)
        except ValueError:
            raise Unavailable(f"the milter said {command!r} to {asked.name}") from None
        if word is Word.PROGRESS:
            return Progress.PROGRESS
        if word is not Word.REPLY and data:
            raise Unavailable(f"the milter said more than {word.name}")
        self._asked = None
        return self._answered(asked, word, reply(data) if word is Word.REPLY else None)

    def _answered(self, asked: Command, word: Word, own: Reply | None) -> Answer:
        if word is Word.SKIP:
            if asked not in _MAY_SKIP or not self._ours.steps & Steps.SKIP:
                raise Unavailable(f"the milter said SKIP to {asked.name}")
            self._skipped.add(asked)
        elif word is Word.DISCARD and (asked in _OF_CONNECTION or asked is Command.UNKNOWN):
            raise Unavailable(f"the milter said DISCARD to {asked.name}")
        elif word is not Word.CONTINUE:
            self._decided(asked, word)
        changes = tuple(self._wanted.changes)
        if asked is Command.END_OF_MESSAGE:
            self._wanted = _Wanted()
            self._message_done, self.mid_message = True, False
        return Answer(asked, word, own, changes)

    def _decided(self, asked: Command, word: Word) -> None:
        """Note how far the milter has made up its mind."""
        if asked is Command.UNKNOWN or (asked is Command.RCPT and word in _REFUSALS):
            return  # that was said of one line alone
        if asked in _OF_CONNECTION and word is not Word.SHUTDOWN:
            # HELO may be said again after a refusal; an accepted connection is done with
            self._connection_done = asked is Command.CONNECT or word is Word.ACCEPT
        elif asked not in _OF_CONNECTION:
            self._message_done = True
            self.mid_message = False

    def _change(self, asked: Command, command: str, data: bytes) -> None:
        """Note a change."""
        agreed = self.agreed
        assert agreed is not None
        if command == "l":
            named = {**agreed.macros, **read_macros(data)}
            self.agreed = Agreed(agreed.version, agreed.actions, agreed.steps, named)
            return
        if asked is not Command.END_OF_MESSAGE:
            raise Unavailable(f"the milter wants changes at {asked.name}")
        if not agreed.actions & ACTIONS[command]:
            raise Unavailable(f"the milter did not say that it does {ACTIONS[command].name}")
        leading_space = bool(agreed.steps & Steps.LEADING_SPACE)
        wanted = self._wanted
        change = modification(command, data, leading_space=leading_space)
        if isinstance(change, BodyPart):
            wanted.body += len(change.data)
            if wanted.body > self._most_body:
                raise Unavailable(f"the milter sent a body of more than {self._most_body} bytes")
        wanted.changes.append(change)
        if len(wanted.changes) - wanted.body // 4096 > _MOST_CHANGES:
            raise Unavailable("the milter wants too many changes")
