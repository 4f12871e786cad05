"""The server's side of a POP3 connection, as a pure state machine (RFC 1939, RFC 2449).

The conversation knows the maildrop's numbers and sizes once the session has accepted a login, and
answers by itself what needs nothing else.  `COMMANDS` says which command is valid in which state.

Invariants:

- Every command has exactly one answer, in order; a line that is no command has one ``-ERR``.
- Every multi-line answer ends with its end mark, or the connection ends without it: never is
  one answer mistaken for another.
- Without TLS no password is taken, unless the port allows it.
- After STLS was accepted nothing of the plaintext is left, buffered input included.
- What a client can make us keep is bounded: a line by `Limits`, an answer by the session, which
  streams what is long.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag, auto

from mailplat.model.credentials import PasswordCredentials
from mailplat.model.errors import AuthenticationFailed, MailError, Unavailable
from mailplat.proto.pop3.dots import DotStuffer, stuffed
from mailplat.proto.pop3.events import Event, Listing, Login, Quit, Retrieve, StartTLS, Top
from mailplat.proto.pop3.maildrop import Maildrop
from mailplat.proto.pop3.offers import Limits, Offers
from mailplat.proto.sasl import exchange as sasl
from mailplat.proto.sasl.exchange import Mechanisms

__all__ = ["COMMANDS", "ServerConversation", "State"]

_CONTROLS = bytes(range(32)) + b"\x7f"
_DIGITS = 10


class State(Flag):
    """Where a connection stands (RFC 1939 §3); UPDATE is the time between QUIT and its answer."""

    AUTHORIZATION = auto()
    STLS = auto()
    TRANSACTION = auto()
    UPDATE = auto()
    BOTH = AUTHORIZATION | TRANSACTION


class ServerConversation:
    """One connection to a client (the shape is `mailplat.proto.conversation.Conversation`).

    The session answers each event by one of `accept_stls`, `accept_login`, `message`,
    `begin`...`end`, `bye` or `refuse`.

    Args:
        offers: The port's extensions.
        limits: What the client may use.
        tls: Whether TLS was there from the first byte on.

    Attributes:
        state: Where the connection stands.
        closing: Whether the connection ends once the bytes to send are sent.
        midway: Whether an answer has begun and not ended, so that no other can be given.
        utf8: Whether the client asked for UTF-8 (RFC 6856 §2.1).
        mechanisms: Tells what AUTH takes as things stand; that of the port until a session knows
            more of its connection.
    """

    def __init__(self, offers: Offers, limits: Limits | None = None, *, tls: bool = False) -> None:
        self.state = State.AUTHORIZATION
        self.closing = False
        self.midway = False
        self.utf8 = False
        self.mechanisms: Callable[[], Mechanisms] = lambda: offers.mechanisms
        self._offers = offers
        self._limits = limits or Limits()
        self._tls = tls
        self._input = b""
        self._position = 0
        self._overlong = False  # inside a line that was too long
        self._output: list[bytes] = []
        self._asked: Event | None = None
        self._user = self._next_user = ""
        self._mechanism = ""
        self._exchange: sasl.Exchange | None = None
        self._maildrop = Maildrop(0, (), ())
        self._stuffer: DotStuffer | None = None
        self._errors = 0
        self._failures = 0

    # -- the shape of every conversation

    @property
    def paused(self) -> bool:
        """Whether enough input is waiting: read no more for now."""
        return len(self._input) - self._position > self._limits.read_ahead

    def receive(self, data: bytes) -> None:
        """Take bytes from the client, cut anywhere."""
        if self.state is State.STLS or self.closing:
            return  # plaintext behind STLS, or behind the goodbye
        self._input = self._input[self._position :] + data
        self._position = 0

    def end_of_input(self) -> None:
        """The client sends no more; a line without its end is no command."""

    def next_event(self) -> Event | None:
        """Give what the client asks next; None until input or an answer comes."""
        if self._asked is not None:
            return None
        while not (self.closing or self.state is State.STLS):
            line = self._next_line()
            if line is None:
                return None
            event = self._response(line) if self._exchange is not None else self._command(line)
            if event is not None:
                self._asked = event
                return event
        return None

    def bytes_to_send(self) -> bytes:
        """Take what is ready to go to the client."""
        output = self._output
        if not output:
            return b""
        self._output = []
        return output[0] if len(output) == 1 else b"".join(output)

    def tls_started(self) -> None:
        """TLS is about to carry the connection: forget everything before it (RFC 2595 §4)."""
        self._tls = True
        self.state = State.AUTHORIZATION
        self.utf8 = False
        self._next_user = ""
        self._input = b""
        self._position = 0
        self._overlong = False

    # -- what the session says

    def greet(self) -> None:
        """Say hello (RFC 1939 §4)."""
        self._ok(f"{self._offers.name} ready")

    def accept_stls(self) -> None:
        """Answer STLS: everything behind this line is TLS."""
        self._ok("Begin TLS negotiation")
        self._asked = None
        self.state = State.STLS
        self._input = b""
        self._position = 0

    def accept_login(self, maildrop: Maildrop) -> None:
        """Answer a login: the maildrop is locked, and this is what is in it."""
        self._maildrop = maildrop
        self.state = State.TRANSACTION
        self._failures = 0
        self._asked = self._exchange = None
        self._ok(f"{maildrop.count} messages ({maildrop.octets} octets)")

    def message(self, content: bytes) -> None:
        """Answer RETR or TOP with a content that is at hand as a whole."""
        self._asked = None
        self._output.append(b"+OK %d octets\r\n" % len(content))
        self._output.append(stuffed(content))

    def begin(self, text: str) -> None:
        """Begin a multi-line answer."""
        self._ok(text)
        self._stuffer = DotStuffer()
        self.midway = True

    def content(self, block: bytes) -> None:
        """Go on with a multi-line answer."""
        assert self._stuffer is not None
        self._output.append(self._stuffer.stuff(block))

    def end(self) -> None:
        """End a multi-line answer."""
        assert self._stuffer is not None
        self._output.append(self._stuffer.end())
        self._stuffer = None
        self.midway = False
        self._asked = None

    def bye(self) -> None:
        """Answer QUIT: what was marked is removed."""
        self._asked = None
        self._say_bye()

    def refuse(self, error: MailError) -> None:
        """Answer what was asked by an error's public side (RFC 2449 §8, RFC 3206).

        A failed QUIT ends the connection all the same (RFC 1939 §6); so do too many failed
        logins.
        """
        asked, self._asked = self._asked, None
        words = error.public
        if isinstance(asked, Login):
            self._exchange = None
            self._deny(error)
            return
        if isinstance(asked, Quit):
            words = f"Some deleted messages not removed: {words}"
            self.closing = True
        self._error(f"[{error.pop3_code}] {words}" if error.pop3_code else words)

    def shut_down(self) -> None:
        """Say that the server stops; nothing that was marked is removed."""
        self._error(f"[{Unavailable.pop3_code}] The server shuts down; please try again later")
        self.closing = True

    # -- lines

    def _next_line(self) -> bytes | None:
        """Cut the next line off the input; None if it is not there yet."""
        limit = self._limits.line if self._exchange is None else self._limits.response
        while True:
            end = self._input.find(b"\n", self._position)
            length = (end + 1 if end >= 0 else len(self._input)) - self._position
            if length > limit:
                self._overlong = True
            if end < 0:
                if self._overlong:  # drop it as it comes
                    self._input, self._position = b"", 0
                return None
            line = self._input[self._position : end]
            self._position = end + 1
            if not self._overlong:
                return line.removesuffix(b"\r")
            self._overlong = False
            self._exchange = None
            self._fault("Line too long")
            if self.closing:
                return None

    def _response(self, line: bytes) -> Event | None:
        """Read a line that belongs to AUTH (RFC 5034 §4)."""
        assert self._exchange is not None
        return self._step(sasl.respond(self._exchange, line))

    def _command(self, line: bytes) -> Event | None:
        verb, _, argument = line.partition(b" ")
        row = COMMANDS.get(verb.upper())
        if row is None or line.translate(None, _CONTROLS) != line:
            self._fault("Unknown command")
            return None
        states, read = row
        # PASS has to follow USER at once (RFC 1939 §7)
        self._user, self._next_user = self._next_user, ""
        if self.state not in states:
            self._fault("Not now" if self.state is State.TRANSACTION else "Log in first")
            return None
        return read(self, argument)

    # -- commands of the AUTHORIZATION state

    def _read_user(self, argument: bytes) -> Event | None:
        name = _text(argument.strip(b" "))
        if not self._tls and not self._offers.clear_passwords:
            self._fault("Passwords are taken under TLS alone")
        elif not name:
            self._fault("USER takes a name")
        else:
            self._next_user = name
            self._ok("Send PASS")  # said to unknown names as well (RFC 1939 §13)
        return None

    def _read_pass(self, argument: bytes) -> Event | None:
        password = _text(argument)  # blanks and all (RFC 1939 §7)
        if not self._user:
            self._fault("Send USER first")
        elif not password:
            self._fault("PASS takes a password")
        else:
            return Login("USER", PasswordCredentials(self._user, password))
        return None

    def _read_auth(self, argument: bytes) -> Event | None:
        words = argument.split()
        mechanisms = self._mechanisms()
        if not words:  # Outlook asks so, with a trailing blank
            self._lines("Mechanisms follow", list(mechanisms))
            return None
        name = words[0].decode("ascii", "replace").upper()
        if name not in mechanisms or len(words) > 2:
            self._fault("That mechanism is not offered")
            return None
        self._mechanism = name
        self._exchange = mechanisms[name]()
        return self._step(sasl.begin(self._exchange, words[1] if len(words) > 1 else None))

    def _step(self, step: sasl.Step) -> Event | None:
        """Go on with AUTH (RFC 5034 §4)."""
        if isinstance(step, sasl.Challenge):
            self._output.append(b"+ " + step.line + b"\r\n")
            return None
        if not isinstance(step, sasl.Failed):
            return Login(self._mechanism, step)
        self._exchange = None
        if step.failure is sasl.Failure.REFUSED:
            self._deny(AuthenticationFailed())
        else:
            self._fault(f"Not logged in: {step.failure.value}")
        return None

    def continue_login(self, answer: sasl.Answer) -> None:
        """Answer a login that asked for more than yes or no; the exchange goes on."""
        assert self._exchange is not None
        self._asked = None
        self._asked = self._step(sasl.go_on(self._exchange, answer))

    def _deny(self, error: MailError) -> None:
        """Answer a login that failed, and count it (RFC 3206 §4)."""
        self._failures += isinstance(error, AuthenticationFailed)
        self.closing = self._failures >= self._limits.failures
        self._error(f"[{error.pop3_code}] {error.public}" if error.pop3_code else error.public)

    def _mechanisms(self) -> Mechanisms:
        """Give the mechanisms that may be used now: none in clear, but where allowed."""
        return self.mechanisms() if self._tls or self._offers.clear_passwords else {}

    def _read_stls(self, argument: bytes) -> Event | None:
        if argument:
            self._fault("STLS takes no argument")
        elif self._tls:
            self._error("TLS is active already")
        elif not self._offers.stls or self.utf8:  # not after UTF8 (RFC 6856 §2.1)
            self._error("TLS cannot be started")
        else:
            return StartTLS()
        return None

    def _read_utf8(self, argument: bytes) -> Event | None:
        self.utf8 = True
        self._ok("UTF-8 it is")
        return None

    # -- commands of both

    def _read_capa(self, argument: bytes) -> Event | None:
        """List what is offered; the same before and after the login (RFC 2449 §5)."""
        offers, mechanisms = self._offers, self._mechanisms()
        lines = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "UTF8 USER", "LANG"]
        if self._tls or offers.clear_passwords:
            lines.append("USER")
        if mechanisms:
            lines.append("SASL " + " ".join(mechanisms))
        if offers.stls and not self._tls:
            lines.append("STLS")
        if offers.retention:
            lines.append(f"EXPIRE {offers.retention}")
        if offers.login_delay:
            lines.append(f"LOGIN-DELAY {offers.login_delay}")
        if offers.implementation:
            lines.append(f"IMPLEMENTATION {offers.implementation}")
        self._lines("Capabilities follow", lines)
        return None

    def _read_lang(self, argument: bytes) -> Event | None:
        """There is one language (RFC 6856 §3)."""
        if not argument:
            self._lines("Languages follow", ["en English"])
        elif argument.lower() in (b"*", b"en", b"i-default"):
            self._ok("en English it is")
        else:
            self._error("No such language")
        return None

    def _read_quit(self, argument: bytes) -> Event | None:
        if self.state is State.TRANSACTION:
            self.state = State.UPDATE
            return Quit()
        self._say_bye()  # nothing to remove: no UPDATE state (RFC 1939 §6)
        return None

    # -- commands of the TRANSACTION state

    def _read_stat(self, argument: bytes) -> Event | None:
        self._ok(f"{self._maildrop.count} {self._maildrop.octets}")
        return None

    def _read_list(self, argument: bytes) -> Event | None:
        if not argument:
            return Listing(names=False)
        number = self._find(argument)
        if number:
            self._ok(f"{number} {self._maildrop.size(number)}")
        return None

    def _read_uidl(self, argument: bytes) -> Event | None:
        if not argument:
            return Listing(names=True)
        number = self._find(argument)
        if number:
            self._ok(f"{number} {self._maildrop.name(number)}")
        return None

    def _read_retr(self, argument: bytes) -> Event | None:
        number = self._find(argument)
        return Retrieve(number) if number else None

    def _read_top(self, argument: bytes) -> Event | None:
        text, _, lines = argument.partition(b" ")
        if not lines.isdigit() or len(lines) > _DIGITS:
            self._fault("TOP takes a message and a number of lines")
            return None
        number = self._find(text)
        return Top(number, int(lines)) if number else None

    def _read_dele(self, argument: bytes) -> Event | None:
        number = self._find(argument)
        if number:
            self._maildrop.mark(number)
            self._ok("Marked for deletion")
        return None

    def _read_noop(self, argument: bytes) -> Event | None:
        self._ok("")
        return None

    def _read_rset(self, argument: bytes) -> Event | None:
        self._maildrop.unmark()
        self._ok(f"{self._maildrop.count} messages ({self._maildrop.octets} octets)")
        return None

    def _find(self, argument: bytes) -> int:
        """Read the number of a message that is there; 0 if it is refused."""
        if not argument.isdigit() or len(argument) > _DIGITS:
            self._fault("Which message?")
            return 0
        number = int(argument)
        if number in self._maildrop:
            return number
        self._error("No such message")
        return 0

    # -- answers

    def _ok(self, text: str) -> None:
        self._output.append(f"+OK {text}\r\n".encode() if text else b"+OK\r\n")

    def _error(self, text: str) -> None:
        self._output.append(f"-ERR {text}\r\n".encode())

    def _lines(self, text: str, lines: list[str]) -> None:
        """Give a multi-line answer of words of ours, none of which begins with a dot."""
        self._ok(text)
        self._output.append("".join(f"{line}\r\n" for line in [*lines, "."]).encode())

    def _say_bye(self) -> None:
        self._ok("Bye")
        self.closing = True

    def _fault(self, text: str) -> None:
        """Answer what the client did wrong, and count it."""
        self._errors += 1
        if self._errors >= self._limits.errors:
            self.closing = True
            text = f"{text}; too many errors"
        self._error(text)


def _text(argument: bytes) -> str:
    """Read a name or a password; ``""`` if it is no UTF-8 (RFC 6856 §2.2)."""
    try:
        return argument.decode()
    except UnicodeDecodeError:
        return ""


_C = ServerConversation

COMMANDS: dict[bytes, tuple[State, Callable[[_C, bytes], Event | None]]] = {
    b"USER": (State.AUTHORIZATION, _C._read_user),
    b"PASS": (State.AUTHORIZATION, _C._read_pass),
    b"AUTH": (State.AUTHORIZATION, _C._read_auth),
    b"STLS": (State.AUTHORIZATION, _C._read_stls),
    b"UTF8": (State.AUTHORIZATION, _C._read_utf8),
    b"CAPA": (State.BOTH, _C._read_capa),
    b"LANG": (State.BOTH, _C._read_lang),
    b"QUIT": (State.BOTH, _C._read_quit),
    b"STAT": (State.TRANSACTION, _C._read_stat),
    b"LIST": (State.TRANSACTION, _C._read_list),
    b"UIDL": (State.TRANSACTION, _C._read_uidl),
    b"RETR": (State.TRANSACTION, _C._read_retr),
    b"TOP": (State.TRANSACTION, _C._read_top),
    b"DELE": (State.TRANSACTION, _C._read_dele),
    b"NOOP": (State.TRANSACTION, _C._read_noop),
    b"RSET": (State.TRANSACTION, _C._read_rset),
}
"""Each command: in which states it is valid (RFC 1939 §9, RFC 2449 §5), and who reads it."""
