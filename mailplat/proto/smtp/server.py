"""The server's side of an SMTP or LMTP connection, as a pure state machine (RFC 5321, RFC 2033).

Invariants:

- A command is taken only where `TRANSITIONS` has a row for it; the row says which state its
  acceptance leads to.  A refusal leads nowhere.
- Every command has exactly one reply (LMTP: one for each recipient after the message), in order.
- Only CRLF ends a command line.  A bare LF among commands means that the two sides do not agree
  where lines end, and the connection is closed rather than followed.
- Inside DATA or BDAT nothing is answered before the true end; a message with a fault is drained.
- `_reset_transaction` is the one place where a transaction ends, however it does.
- After STARTTLS was accepted nothing of the plaintext is left, buffered input included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mailplat.model.envelope import BodyType
from mailplat.model.reply import Reply
from mailplat.proto.sasl.exchange import Answer, Mechanisms
from mailplat.proto.smtp import words
from mailplat.proto.smtp.auth import AuthExchange, AuthStep
from mailplat.proto.smtp.bdat import parse_chunk
from mailplat.proto.smtp.command_fault import CommandFault
from mailplat.proto.smtp.commands import (
    Block,
    Data,
    Event,
    Hello,
    Introduce,
    Login,
    Mail,
    Rcpt,
    Reset,
    Spoiled,
    StartTLS,
)
from mailplat.proto.smtp.counts import Counts
from mailplat.proto.smtp.data import DataReader
from mailplat.proto.smtp.input import Fault, Input
from mailplat.proto.smtp.lines import PLAIN, check_bare, help_words, split_line
from mailplat.proto.smtp.offers import Dialect, Limits, Offers, keywords
from mailplat.proto.smtp.parse import parse_mail, parse_rcpt
from mailplat.proto.smtp.reception import Reception
from mailplat.proto.smtp.replies import format_reply
from mailplat.proto.smtp.states import MID_TRANSACTION, TRANSITIONS, State

__all__ = ["ServerConversation"]


class ServerConversation:
    """One connection to a client (the shape is `mailplat.proto.conversation.Conversation`).

    The session greets by `greet`, takes events by `next_event`, and gives each of them one answer:
    `accept` with the usual words, or `answer` with its own.

    Attributes:
        state: What is waited for.
        early: Whether the client sent bytes before it was greeted (RFC 5321 §4.3.1).
        tls: Whether TLS protects the connection.
        authenticated: Whether a login was accepted.
        mechanisms: Tells what AUTH takes as things stand; that of the port until a session knows
            more of its connection.
        closing: Whether the connection ends once the bytes to send are sent.
        proxy: Whether the client may say whom it speaks for, by XCLIENT.
        refused: Called with each refusal that the client is told, whoever made it.
        unknown: While a line is refused that is no command we know, that line.
    """

    def __init__(
        self,
        name: str,
        offers: Offers,
        limits: Limits,
        *,
        dialect: Dialect = Dialect.SMTP,
        tls: bool = False,
    ) -> None:
        """Begin a connection.

        Args:
            name: The host name in the greeting and in the answer to EHLO.
            offers: The listener's extensions.
            limits: What the client may use.
            dialect: SMTP or LMTP.
            tls: Whether TLS was there from the first byte on.
        """
        self.state = State.CONNECTED
        self.early = False
        self.tls = tls
        self.authenticated = False
        self.mechanisms: Callable[[], Mechanisms] = lambda: offers.mechanisms
        self.closing = False
        self.proxy = False
        self.refused: Callable[[Reply], object] | None = None
        self.unknown = b""
        self._name = name
        self._offers = offers
        self._limits = limits
        self._dialect = dialect
        self._hellos = ("EHLO", "HELO") if dialect is Dialect.SMTP else ("LHLO",)
        self._input = Input()
        self._ended = False
        self._output: list[bytes] = []
        self._asked: Event | None = None
        self._target = State.START  # where acceptance of the event leads
        self._counts = Counts(limits)
        self._exchange: AuthExchange | None = None
        self._smtputf8 = self._binary = False
        self._recipients = 0
        self._reception: Reception | None = None
        self._drained: State | None = None  # where a chunk that nobody wants leaves us

    # -- the shape of every conversation

    @property
    def paused(self) -> bool:
        """Whether enough input is waiting: read no more for now."""
        return len(self._input) > self._limits.read_ahead

    def receive(self, data: bytes) -> None:
        """Take bytes from the client, cut anywhere."""
        if self.state is State.CONNECTED:
            self.early = True
        if self.state is State.TLS or self.closing:
            return  # plaintext behind STARTTLS (RFC 3207 §4.2), or behind the goodbye
        self._input.receive(data)

    def end_of_input(self) -> None:
        """The client sends no more; what it asked for before is still answered."""
        self._ended = True

    def next_event(self) -> Event | None:
        """Give what the client asks next; None until input or an answer comes."""
        if self._asked is not None or self.closing or self.state is State.CONNECTED:
            return None
        while self._asked is None and not self.closing and self.state is not State.TLS:
            read = self._read_body if self.state is State.BODY else self._read_line
            if not read():
                if self._ended:
                    self._close()
                break
        return self._asked

    def bytes_to_send(self) -> bytes:
        """Take what is ready to go to the client."""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def tls_started(self) -> None:
        """TLS is about to carry the connection: forget everything before it (RFC 3207 §4.2)."""
        self.state = State.START
        self.tls = True
        self.authenticated = False
        self._input.clear()
        self._reset_transaction()

    # -- what the session says

    @property
    def mid_transaction(self) -> bool:
        """Whether a mail is under way."""
        return self.state in MID_TRANSACTION

    @property
    def asked(self) -> bool:
        """Whether an event waits for its answer."""
        return self._asked is not None

    @property
    def auth_possible(self) -> bool:
        """Whether AUTH would be taken now, as far as TLS is concerned."""
        return self.tls or not self._offers.auth_needs_tls

    def greet(self, refusal: Reply | None = None) -> None:
        """Say the first words; once, before anything else.

        Args:
            refusal: Turns the client away: with 421 the connection ends, otherwise nothing
                but QUIT is taken (RFC 5321 §3.1).
        """
        if refusal is None:
            self.state = State.START
            self._say(self._greeting, enhanced=False)
        else:
            self.state = State.REFUSED
            self._say(refusal, enhanced=False)

    @property
    def _greeting(self) -> Reply:
        return Reply.of(220, f"{self._name} {self._dialect.value} mailplat")

    def accept(self, *, now: int = 0) -> None:
        """Answer yes to the last event, with the usual words if there are any.

        Args:
            now: The time, seconds since 1970 UTC, where the answer is one to EHLO.
        """
        event = self._asked
        if isinstance(event, Spoiled) or (isinstance(event, Block) and not event.last):
            self._asked = None
            self._go_on()
        else:
            self.answer(self._usual_words(event, now))

    def answer(self, *replies: Reply) -> None:
        """Answer the last event.

        Args:
            replies: One; in LMTP the answer to the last `Block` may be one for each accepted
                recipient, in their order (RFC 2033 §4.2), or one for all of them.
        """
        event, self._asked = self._asked, None
        if event is None:
            raise RuntimeError("nothing was asked")
        if isinstance(event, Login):
            self._exchange = None
        reply = replies[0]
        reception = self._reception
        if reception is not None and isinstance(event, Block):
            if event.last:
                self._end_message(replies)
            else:
                reception.refusal = reply
                self._go_on()
        elif reception is not None and isinstance(event, Data):
            self.state = State.BODY  # BDAT is answered behind its chunk alone
            reception.refusal = None if reply.positive else reply
        else:
            self._say(reply, enhanced=not isinstance(event, Hello | Introduce))
            if reply.positive:
                self._accepted(event)
            elif isinstance(event, Login) and reply.permanent:
                self._count_failed_login()

    def continue_login(self, answer: Answer) -> None:
        """Answer a login that asked for more than yes or no; the exchange goes on."""
        exchange = self._exchange
        assert exchange is not None
        self._asked = None
        self._exchange_step(lambda: exchange.go_on(answer))

    def _count_failed_login(self) -> None:
        goodbye = self._counts.failed_login()
        if goodbye is not None and not self.closing:
            self._say(goodbye)

    def goodbye(self, reply: Reply = words.LEAVING) -> None:
        """Say 421 unasked, and close: the server stops, or waited too long (RFC 5321 §3.8)."""
        if not self.closing:
            self._say(reply)

    def _usual_words(self, event: Event | None, now: int) -> Reply:
        if isinstance(event, Introduce):
            return self._greeting
        if not isinstance(event, Hello):
            return words.acceptance(event)
        if event.verb == "HELO":
            return Reply.of(250, self._name)
        offers = replace(self._offers, mechanisms=self.mechanisms())
        offered = keywords(offers, self._limits, tls=self.tls, proxy=self.proxy, now=now)
        return Reply(250, (self._name, *offered))

    def _accepted(self, event: Event) -> None:
        self.state = self._target
        match event:
            case Hello() | Reset():
                self._reset_transaction()
            case StartTLS():
                self._input.clear()
            case Introduce(introduction):
                self.authenticated = bool(introduction.login)
                self._reset_transaction()
            case Login():
                self.authenticated = True
            case Mail(sender):
                self._smtputf8 = sender.smtputf8
                self._binary = sender.body is BodyType.BINARY
            case Rcpt(recipient):
                self._recipients += 1
                self._counts.recipient(recipient)
            case Data():
                self._reception = Reception(DataReader(), self._limits)

    # -- messages

    def _reset_transaction(self) -> None:
        self._smtputf8 = self._binary = False
        self._recipients = 0
        self._reception = self._drained = None

    def _read_body(self) -> bool:
        """Deal with the next bytes of DATA or of a chunk; whether there were any."""
        reception = self._reception
        assert reception is not None
        if not reception.ready(self._input):
            return False
        event = reception.read(self._input)
        if event is not None:
            self._ask(event, State.BODY)
        else:
            self._go_on()
        return True

    def _go_on(self) -> None:
        """After bytes were dealt with: answer if they were the last of DATA or of a chunk."""
        reception = self._reception
        assert reception is not None
        refusal, reader = reception.refusal, reception.reader
        if not reader.done:
            return
        if self._drained is not None:
            self.state = self._drained
            self._reception = self._drained = None
            # none of no recipients gets a reply to LMTP's last chunk (RFC 2033 §4.3)
            nobody = self._dialect is Dialect.LMTP and self.state is State.SENDER and reader.last
            if refusal is not None and not nobody:
                self._say(refusal)
        elif refusal is None:
            self.state = State.CHUNKS
            self._say(words.CHUNK_OK)
        elif reader.last:
            self._end_message((refusal,))
        else:
            self._reset_transaction()
            self.state = State.SPENT  # further chunks are drained (RFC 3030 §2)
            self._say(refusal)

    def _end_message(self, replies: tuple[Reply, ...]) -> None:
        """Answer for the whole message; in LMTP for each recipient (RFC 2033 §4.2)."""
        count = self._recipients if self._dialect is Dialect.LMTP else 1
        if len(replies) == 1:
            replies *= count
        if len(replies) != count:
            raise ValueError(f"{len(replies)} replies for {count} recipients")
        self._reset_transaction()
        self.state = State.READY
        if any(reply.positive for reply in replies):
            self._counts.message()
        for reply in replies:
            self._say(reply)

    # -- lines

    def _read_line(self) -> bool:
        """Deal with the next line; whether there was one."""
        exchange = self._exchange
        long = exchange is not None or self._input.starts_with(b"AUTH ")
        limit = self._limits.auth_line if long else self._limits.command_line
        line = self._input.take_line(limit)
        if line is None:
            return False
        if line is Fault.BARE_FEED:
            self._say(words.BARE_FEED)
        elif exchange is not None:
            self._exchange_step(lambda: exchange.respond(line))
        elif isinstance(line, Fault):
            self._say(words.LONG_LINE)
        else:
            self._command(line)
        return True

    def _command(self, line: bytes) -> None:
        try:
            verb, argument = split_line(line)
            if verb.endswith("LO") and verb not in self._hellos:
                raise CommandFault(words.UNKNOWN)
        except CommandFault as fault:
            self.unknown = line
            self._say(fault.reply)
            self.unknown = b""
            return
        goodbye = self._counts.command(verb)
        if goodbye is not None:
            self._say(goodbye)
            return
        target = TRANSITIONS.get((self.state, verb))
        if target is None and verb != "BDAT":
            self._say(words.out_of_order(verb, self.state, lmtp=self._dialect is Dialect.LMTP))
            return
        try:
            check_bare(verb, argument)
            if verb == "XCLIENT" and not self.proxy:
                raise CommandFault(words.NOT_OFFERED)
            argument = argument.lstrip(b" ")
            plain = PLAIN.get(verb)
            event = plain(verb, argument) if plain else _COMMANDS[verb](self, argument)
        except CommandFault as fault:
            self._say(fault.reply)
            return
        if event is not None:
            self._ask(event, target or self.state)

    # -- commands: each gives an event, or answers by itself

    def _starttls(self, argument: bytes) -> Event | None:
        if self.tls:
            raise CommandFault(words.TLS_ALREADY)
        if not self._offers.starttls:
            raise CommandFault(words.NOT_OFFERED)
        return StartTLS()

    def _auth(self, argument: bytes) -> Event | None:
        mechanisms = self.mechanisms()
        if not mechanisms:
            raise CommandFault(words.NOT_OFFERED)
        if self.authenticated:  # RFC 4954 §4
            raise CommandFault(words.AUTH_ALREADY)
        if not self.auth_possible:
            raise CommandFault(words.AUTH_NEEDS_TLS)
        exchange = self._exchange = AuthExchange(mechanisms, argument)
        self._exchange_step(exchange.begin)
        return None

    def _exchange_step(self, step: Callable[[], AuthStep]) -> None:
        """Take a step of AUTH; only a challenge goes on waiting for responses."""
        self.state = State.READY
        try:
            outcome = step()
        except CommandFault as fault:
            self._exchange = None
            self._say(fault.reply)
            if fault.reply is words.AUTH_FAILED:
                self._count_failed_login()
            return
        if isinstance(outcome, Login):
            self._ask(outcome, State.READY)
        else:
            self.state = State.EXCHANGE
            self._output.append(b"334 " + outcome + b"\r\n")

    def _mail(self, argument: bytes) -> Event:
        if self._counts.messages >= self._limits.messages:
            raise CommandFault(words.TOO_MANY_MESSAGES)
        return Mail(parse_mail(argument, self._offers, self._limits, tls=self.tls))

    def _rcpt(self, argument: bytes) -> Event | None:
        recipient = parse_rcpt(argument, self._offers, smtputf8=self._smtputf8)
        self._counts.check_recipient(recipient, self._recipients)
        return Rcpt(recipient)

    def _data_command(self, argument: bytes) -> Event | None:
        if self._binary:  # RFC 3030 §3
            raise CommandFault(words.BINARY_DATA)
        return Data(binary=False)

    def _bdat(self, argument: bytes) -> Event | None:
        chunk = parse_chunk(argument) if self._offers.chunking else None
        if chunk is None:  # nobody knows where the next command begins
            raise CommandFault(words.LOST_COUNT if self._offers.chunking else words.NO_CHUNKING)
        before = self.state
        if before is State.CHUNKS:
            assert self._reception is not None
            self._reception.reader = chunk
            self.state = State.BODY
            return None
        self._reception = Reception(chunk, self._limits, binary=self._binary)
        if before is State.RECIPIENTS:
            return Data(self._binary)
        self.state, self._drained = State.BODY, before  # out of order (RFC 3030 §2)
        self._reception.refusal = words.out_of_order("BDAT", before)
        return None

    # -- small things

    def _ask(self, event: Event, target: State) -> None:
        self._asked, self._target = event, target

    def _say(self, reply: Reply, *, enhanced: bool = True) -> None:
        self._output.append(format_reply(reply, enhanced=enhanced))
        if reply.code >= 400 and self.refused is not None:
            self.refused(reply)
        if reply.code == 421 or reply in words.LAST_WORDS:
            self._close()
        elif reply.permanent:
            goodbye = self._counts.refusal()
            if goodbye is not None:
                self._say(goodbye)

    def _close(self) -> None:
        self.closing = True
        self.state = State.CLOSED
        self._asked = self._exchange = None
        self._input.clear()
        self._reset_transaction()


_COMMANDS: dict[str, Callable[[ServerConversation, bytes], Event | None]] = {
    "STARTTLS": ServerConversation._starttls,
    "AUTH": ServerConversation._auth,
    "MAIL": ServerConversation._mail,
    "RCPT": ServerConversation._rcpt,
    "DATA": ServerConversation._data_command,
    "BDAT": ServerConversation._bdat,
    "NOOP": lambda self, argument: self._say(words.OK),
    "HELP": lambda self, argument: self._say(help_words(self._hellos, proxy=self.proxy)),
    "QUIT": lambda self, argument: self._say(words.BYE),
}
