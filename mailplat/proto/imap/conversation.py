"""One IMAP connection, the server's side: bytes in, `proto.imap.commands.event.Event`s out.

`ServerConversation` is a `proto.conversation.Conversation`.  Its reading is one generator that
follows a command from its first byte to its answer, so that the order of things is the order of
the text.

Invariants:

- One command at a time: the next is not even cut out of the input before the running one is
  answered.  So pipelined commands run in the only order that is surely right (RFC 9051 §5.5),
  and a sequence number always means what it meant when its command began.
- A command that is refused is drained to its true end, literals and all, and answered once.
- A synchronizing literal is asked for (``+``) only if it will be taken (RFC 7888 §3).
- ``answer`` of a `commands.append.Append` that is still being sent waits until the client is done.
- After ``BYE`` nothing is read, answered or sent any more.

The transport calls ``bytes_to_send`` after every other call.  Once ``closing`` no event comes
any more: whoever still waits for one is to be cancelled.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from enum import Enum

from mailplat.model.errors import MailError
from mailplat.proto.imap.commands.append import Append, AppendData, AppendEnd, AppendNext, Replace
from mailplat.proto.imap.commands.event import Aborted, Command, Event
from mailplat.proto.imap.commands.session import (
    Authenticate,
    AuthenticateResponse,
    Compress,
    Done,
    Idle,
    Logout,
    StartTLS,
)
from mailplat.proto.imap.compression import Compression
from mailplat.proto.imap.fragments import BadLine, EndOfInput, Flooded, Fragments
from mailplat.proto.imap.grammar import GRAMMAR
from mailplat.proto.imap.limits import Limits
from mailplat.proto.imap.mailbox_commands import append_message
from mailplat.proto.imap.reading import CommandReader, Reading, tag_of
from mailplat.proto.imap.refusal import Condition, Refusal, bad
from mailplat.proto.imap.spelling import resp_text
from mailplat.proto.imap.syntax import Grammar, State
from mailplat.proto.imap.tokens import Mode, Tokens

__all__ = ["ServerConversation"]

_Events = Generator[Event | None, None, None]


class _Given(Enum):
    """What the session did with an event."""

    ANSWERED = "the command is over"
    ACCEPTED = "go on"
    CHALLENGED = "ask further"


class ServerConversation:
    """The server's side of one connection.

    Attributes:
        enabled: What ENABLE turned on, in capitals; set by `enable`.
        wants_tls: STARTTLS was answered OK: send what is to be sent, then start TLS and say
            `tls_started`.  Until then input is dropped, and no event comes.
    """

    def __init__(self, *, grammar: Grammar = GRAMMAR, limits: Limits | None = None) -> None:
        self.enabled: frozenset[str] = frozenset()
        self.wants_tls = False
        self._grammar = grammar
        self._limits = limits or Limits()
        self._output: list[bytes] = []
        self._compression: Compression | None = None
        self._uncompressed = b""  # what was said before it began
        self._fragments = Fragments()
        self._reader = CommandReader(self._fragments, self._grammar, self._limits, self.send)
        self._reader.mode = self._current_mode()
        self._events = self._commands()
        self._running: Command | None = None
        self._name = ""
        self._given: _Given | None = None
        self._held: bytes | None = None  # the answer to an APPEND that is still being sent
        self._streaming = False
        self._bad_commands = 0

    @property
    def state(self) -> State:
        """How far the client has come: what it may ask depends on it."""
        return self._reader.state

    @state.setter
    def state(self, state: State) -> None:
        self._reader.state = state

    # for the transport

    @property
    def paused(self) -> bool:
        """Whether enough input is waiting: read no more for now."""
        if self._running is not None and self._given is None and not self._reads_on:
            return len(self._fragments) > self._limits.read_ahead
        reader = self._reader
        # whatever is waited for must fit, or it would be waited for without end
        longest = max(reader.longest_line, reader.literal_limit, self._limits.authenticate_line)
        return len(self._fragments) > longest + 2

    @property
    def closing(self) -> bool:
        """Whether the connection ends once the bytes to send are sent."""
        return self.state is State.LOGOUT

    def receive(self, data: bytes) -> None:
        """Take bytes from the client, cut anywhere."""
        if not self.wants_tls and self.state is not State.LOGOUT:
            self._fragments.add(data)

    def end_of_input(self) -> None:
        """The client sends no more; what it asked for before is still answered."""
        self._fragments.ended = True

    def next_event(self) -> Event | None:
        """Give the next thing that is asked; None until input or an answer comes."""
        if self.state is State.LOGOUT or self.wants_tls:
            return None
        return next(self._events, None)

    def bytes_to_send(self) -> bytes:
        """Take what is ready to go to the client."""
        data = b"".join(self._output)
        self._output.clear()
        if self._compression is not None and data:
            data = self._compression.deflate(data)
        if self._uncompressed:
            data, self._uncompressed = self._uncompressed + data, b""
        return data

    def tls_started(self) -> None:
        """TLS is about to carry the connection: forget everything before it (RFC 9051 §6.2.1)."""
        self.wants_tls = False
        self._start_afresh()

    # for the session: at any time

    @property
    def utf8(self) -> bool:
        """Whether the client takes UTF-8 in quoted strings and mailbox names."""
        return self._reader.mode.utf8

    @property
    def compressed(self) -> bool:
        """Whether the connection is compressed (RFC 4978)."""
        return self._compression is not None

    @property
    def idling(self) -> bool:
        """Whether the client waits in IDLE: its silence means nothing (RFC 2177)."""
        return isinstance(self._running, Idle)

    def greet(self, text: str, code: str = "", *, logged_in: bool = False) -> None:
        """Say hello: ``* OK``, or ``* PREAUTH`` if the client needs no log-in."""
        if logged_in:
            self.logged_in()
        word = b"PREAUTH" if logged_in else b"OK"
        self.send(b"* %b %b\r\n" % (word, resp_text(text, code)))

    def send(self, data: bytes) -> None:
        """Send untagged responses: whole lines, as `proto.imap.responses` makes them."""
        if self.state is not State.LOGOUT:
            self._output.append(data)

    def bye(self, text: str, code: str = "") -> None:
        """End the connection from our side; the session need not answer any more."""
        self.send(b"* BYE %b\r\n" % resp_text(text, code, utf8=self.utf8))
        self.state = State.LOGOUT

    def logged_in(self) -> None:
        """The client is known now; call it before the answer."""
        self.state = State.AUTHENTICATED

    def logged_out(self) -> None:
        """The client is nobody again, and has enabled nothing (RFC 8437 §3)."""
        if self.state is not State.LOGOUT:
            self.state = State.NOT_AUTHENTICATED
        self.enabled = frozenset()
        self._reader.mode = self._current_mode()

    def limit_literals(self, size: int | None) -> None:
        """Say how large a non-synchronizing literal may be from the next command on.

        Args:
            size: In bytes: 4096 for LITERAL- (RFC 7888 §5), 0 for none; None for LITERAL+.
        """
        self._reader.non_synchronizing = size

    def mailbox_opened(self) -> None:
        """SELECT or EXAMINE worked; call it before the answer."""
        self.state = State.SELECTED

    def mailbox_closed(self) -> None:
        """No mailbox is open any more."""
        if self.state is State.SELECTED:
            self.state = State.AUTHENTICATED

    def enable(self, capabilities: Collection[str]) -> None:
        """Turn extensions on; ``UTF8=ACCEPT`` and ``IMAP4REV2`` change how names are spelled."""
        self.enabled |= {capability.upper() for capability in capabilities}
        self._reader.mode = self._current_mode()

    # for the session: in answer to an event

    def ok(self, text: str = "", code: str = "") -> None:
        """End the running command well; without a text it says that it is completed."""
        self.answer(Condition.OK, text or f"{self._name} completed", code)

    def no(self, text: str, code: str = "") -> None:
        """End the running command: it was refused, or failed."""
        self.answer(Condition.NO, text, code)

    def bad(self, text: str, code: str = "") -> None:
        """End the running command: it makes no sense here."""
        self.answer(Condition.BAD, text, code)

    def refuse(self, error: MailError) -> None:
        """End the running command with the public side of an error: NO, its code, its words."""
        self.answer(Condition.NO, error.public, error.imap_code)

    def answer(self, condition: Condition, text: str, code: str = "") -> None:
        """End the running command.

        Args:
            condition: How it ended.
            text: For people.
            code: A response code without its brackets: ``APPENDUID 1 2``.

        Raises:
            RuntimeError: No command is running.
        """
        if self.state is State.LOGOUT:
            return
        command = self._running
        if command is None:
            raise RuntimeError("there is no command to answer")
        reply = resp_text(text, code, utf8=self.utf8)
        line = b"%b %b %b\r\n" % (command.tag, condition.value.encode("ascii"), reply)
        self._running = None
        self._given = _Given.ANSWERED
        if self._streaming:
            self._held = line
            return
        if condition is Condition.OK and isinstance(command, Logout):
            self._output.append(b"* BYE Logging out\r\n")  # (RFC 9051 §6.1.3)
        self._output.append(line)
        if condition is Condition.OK:
            self._take_effect(command)

    def accept(self) -> None:
        """Take the message of `Append`, `AppendNext` or `Replace`; or begin to `Idle`.

        Raises:
            RuntimeError: No command is running.
        """
        self._give(_Given.ACCEPTED)

    def challenge(self, line: bytes) -> None:
        """Ask the client further in an `Authenticate`; base64, without a line end.

        Raises:
            RuntimeError: No command is running.
        """
        self._give(_Given.CHALLENGED)
        self.send(b"+ %b\r\n" % line)

    # within: state

    @property
    def _reads_on(self) -> bool:
        """Whether the running command goes on with what the client sends."""
        return self._streaming or isinstance(self._running, (Authenticate, Idle))

    def _give(self, given: _Given) -> None:
        if self.state is State.LOGOUT:
            return
        if self._running is None:
            raise RuntimeError("there is no command to go on with")
        self._given = given

    def _take_effect(self, command: Command) -> None:
        """Do what an OK means for the connection itself."""
        if isinstance(command, Logout):
            self.state = State.LOGOUT
        elif isinstance(command, StartTLS):
            self.wants_tls = True
            self._fragments.take_all()  # what was pipelined in clear is no one's (RFC 9051 §11.1)
        elif isinstance(command, Compress):
            self._compress()

    def _compress(self) -> None:
        """Compress everything behind the answer to COMPRESS (RFC 4978 §3)."""
        self._uncompressed = b"".join(self._output)
        self._output.clear()
        self._compression = Compression()
        self._fragments.compressed_by(self._compression)

    def _start_afresh(self) -> None:
        self.enabled = frozenset()
        self._reader.mode = self._current_mode()
        self._reader.pending = None
        self._fragments.take_all()
        self._events = self._commands()
        self._running = self._given = self._held = None
        self._streaming = False

    def _current_mode(self) -> Mode:
        return Mode(
            utf8=not self.enabled.isdisjoint({"UTF8=ACCEPT", "IMAP4REV2"}),
            enabled=self.enabled,
            nesting=self._limits.nesting,
            fetch_items=self._grammar.fetch_items,
            search_keys=self._grammar.search_keys,
        )

    # within: one command after the other

    def _commands(self) -> _Events:
        """Read commands and see them answered, until the connection ends."""
        while self.state is not State.LOGOUT:
            try:
                yield from self._command(self._reader)
            except EndOfInput:
                self.state = State.LOGOUT
            except Flooded:
                self.bye("Too much data in a refused command", "TOOBIG")

    def _command(self, reader: CommandReader) -> _Events:
        reader.tag = None
        try:
            line = yield from reader.line()
            if not line:
                return  # some clients send one CRLF too many
            reading = yield from reader.command(line)
        except Refusal as refusal:
            yield from reader.drain()
            self._refused(reader.tag, refusal)
        except BadLine as fault:
            # the tag stands on the command's first line, which may be this one
            yield from self._after_bad_line(reader, reader.tag or tag_of(fault.head), fault)
        else:
            self._bad_commands = 0
            self._name = reading.name
            yield from self._run(reader, reading)

    def _after_bad_line(
        self, reader: CommandReader, tag: bytes | None, fault: BadLine
    ) -> Generator[None, None, None]:
        self._refused(tag, bad(fault.text))  # at once: the line may never end
        yield from reader.rest_of_line()
        yield from reader.drain()

    def _refused(self, tag: bytes | None, refusal: Refusal) -> None:
        """Answer by ourselves what the client did wrong."""
        condition = refusal.condition.value.encode("ascii")
        reply = resp_text(refusal.text, refusal.code, utf8=self.utf8)
        self.send(b"%b %b %b\r\n" % (b"*" if tag is None else tag, condition, reply))
        if refusal.condition is Condition.BAD:
            self._bad_commands += 1
            if self._bad_commands >= self._limits.bad_commands:
                self.bye("Too many bad commands")

    def _run(self, reader: CommandReader, reading: Reading) -> _Events:
        command = self._running = reading.command
        self._given = None
        if isinstance(command, (Append, Replace)):
            yield from self._receive_messages(reader, command)
        elif isinstance(command, Authenticate):
            yield from self._authenticate(reader, command)
        elif isinstance(command, Idle):
            yield from self._idle(reader, command)
        else:
            yield command
            yield from self._until_answered()

    def _wait(self) -> Generator[None, None, _Given]:
        while self._given is None:
            yield
        given, self._given = self._given, None
        return given

    def _until_answered(self) -> Generator[None, None, None]:
        while (yield from self._wait()) is not _Given.ANSWERED:
            pass

    # within: commands that go on behind their line

    def _authenticate(self, reader: CommandReader, command: Authenticate) -> _Events:
        """Carry the lines of a SASL exchange (RFC 9051 §6.2.2)."""
        yield command
        while (yield from self._wait()) is not _Given.ANSWERED:
            try:
                line = yield from self._fragments.line(self._limits.authenticate_line)
            except BadLine as fault:
                yield from self._aborted()
                yield from self._after_bad_line(reader, command.tag, fault)
                return
            except EndOfInput:
                yield from self._aborted()
                raise
            yield AuthenticateResponse(line)

    def _idle(self, reader: CommandReader, command: Idle) -> _Events:
        """Wait for DONE (RFC 2177 §3); a command that comes in its place ends IDLE as well."""
        yield command
        if (yield from self._wait()) is _Given.ANSWERED:
            return
        self.send(b"+ idling\r\n")
        fault: BadLine | None = None
        try:
            line = yield from self._fragments.line(reader.line_limit)
            if line.upper() != b"DONE":
                self._fragments.put_back(line)
        except BadLine as found:
            fault = found
        except EndOfInput:
            yield from self._aborted()
            raise
        if self._running is not None:
            yield Done()
            yield from self._until_answered()
        if fault is not None:
            yield from self._after_bad_line(reader, tag_of(fault.head), fault)

    def _receive_messages(self, reader: CommandReader, command: Append | Replace) -> _Events:
        """Hand on the messages of APPEND as they come (RFC 9051 §6.3.12, RFC 3502)."""
        self._streaming = True
        fault: Refusal | None = None
        event: Event = command
        message = command.message
        number = 1
        try:
            while True:
                yield event
                if (yield from self._wait()) is _Given.ANSWERED:
                    break
                reader.go_on()
                reader.pending = None
                yield from self._message(message.size)
                line = yield from reader.line()
                if self._running is None:
                    break
                tokens = Tokens(line, mode=self._reader.mode)
                if message.utf8:
                    tokens.expect(b")")
                if reader.pending is None or isinstance(command, Replace):
                    tokens.end()
                    break
                tokens.space()
                message = append_message(tokens)
                number += 1
                reader.check_message(reader.pending, number)
                event = AppendNext(message)
        except Refusal as refusal:
            fault = refusal
        except BadLine as found:
            fault = bad(found.text)
            yield from reader.rest_of_line()
        except EndOfInput:
            yield from self._aborted()
            raise
        if fault is None and self._running is not None:
            self._streaming = False
            yield AppendEnd()
            yield from self._until_answered()
            return
        aborted = self._running is not None
        if aborted:
            yield from self._aborted()
        yield from reader.drain()
        self._streaming = False
        held, self._held = self._held, None
        if held is not None:
            self.send(held)
        elif fault is not None:
            self._refused(command.tag, fault)

    def _message(self, size: int) -> _Events:
        """Hand on the bytes of one message; to nobody, once the command is answered."""
        while size:
            data = yield from self._fragments.take(min(size, self._limits.block))
            size -= len(data)
            if self._running is not None:
                yield AppendData(data)

    def _aborted(self) -> _Events:
        """Tell the session that the running command is no more."""
        if self._running is not None:
            self._running = None
            yield Aborted()
