"""Tests for `mailplat.proto.pop3.server`."""

from __future__ import annotations

from base64 import b64encode
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.model.credentials import (
    PasswordCredentials,
    ScramKeys,
    ScramProof,
    ScramRequest,
)
from mailplat.model.errors import AuthenticationFailed, InUse, MailError, OverQuota, Unavailable
from mailplat.proto.pop3.events import Event, Listing, Login, Quit, Retrieve, StartTLS, Top
from mailplat.proto.pop3.maildrop import Maildrop
from mailplat.proto.pop3.offers import Limits, Offers
from mailplat.proto.pop3.server import COMMANDS, ServerConversation, State
from mailplat.proto.sasl.scram_server import ScramExchange

ALICE = PasswordCredentials("alice", "secret")


def secure(**limits: int) -> ServerConversation:
    """A conversation under TLS."""
    return ServerConversation(Offers("pop.example.org"), Limits(**limits), tls=True)


def logged_in(**limits: int) -> ServerConversation:
    """A conversation behind a login, with three messages."""
    server = secure(**limits)
    server.receive(b"USER alice\r\nPASS secret\r\n")
    assert server.next_event() == Login("USER", ALICE)
    server.accept_login(Maildrop(7, [3, 5, 9], [100, 200, 400]))
    server.bytes_to_send()
    return server


def say(server: ServerConversation, data: bytes) -> bytes:
    """Say something that makes no event; give the answer."""
    server.receive(data)
    assert server.next_event() is None
    return server.bytes_to_send()


def ask(server: ServerConversation, data: bytes) -> Event:
    """Say something that makes an event, and take it."""
    server.receive(data)
    event = server.next_event()
    assert event is not None
    assert server.next_event() is None
    return event


def test_greets() -> None:
    """The greeting is positive and carries no timestamp: there is no APOP (RFC 1939 §7)."""
    server = secure()
    server.greet()
    assert server.bytes_to_send() == b"+OK pop.example.org ready\r\n"


def test_user_and_pass_log_in() -> None:
    """A name and a password, blanks in it and UTF-8 in both, make one login (RFC 6856 §2.2)."""
    server = secure()
    assert say(server, b"user \xc3\xa4nne \r\n") == b"+OK Send PASS\r\n"
    assert ask(server, b"pass a  b \r\n") == Login("USER", PasswordCredentials("änne", "a  b "))
    server.accept_login(Maildrop(1, [1], [10]))
    assert server.bytes_to_send() == b"+OK 1 messages (10 octets)\r\n"
    assert server.state is State.TRANSACTION


@pytest.mark.parametrize(
    "lines",
    [
        b"PASS secret\r\n",
        b"USER alice\r\nCAPA\r\nPASS secret\r\n",
        b"USER\r\nPASS secret\r\n",
        b"USER alice\r\nPASS\r\n",
        b"USER \xff\r\nPASS secret\r\n",
        b"USER alice\r\nPASS \xff\r\n",
        b"USER alice\r\nPASS a\0b\r\n",
        b"USER al\x01ice\r\nPASS secret\r\n",
    ],
)
def test_pass_has_to_follow_a_good_user(lines: bytes) -> None:
    """PASS is taken only right behind USER, and only in UTF-8 without control characters."""
    assert say(secure(), lines).splitlines()[-1].startswith(b"-ERR ")


def test_without_tls_no_password_is_taken() -> None:
    """In clear neither USER nor PLAIN is offered or taken, unless the port allows it."""
    plain = b64encode(b"\0alice\0secret")
    server = ServerConversation(Offers("pop.example.org", stls=True))
    answer = say(
        server, b"CAPA\r\nUSER alice\r\nPASS secret\r\nAUTH PLAIN " + plain + b"\r\nAUTH\r\n"
    )
    assert b"\r\nSTLS\r\n" in answer
    assert b"\r\nUSER\r\n" not in answer
    assert b"SASL" not in answer
    assert answer.count(b"-ERR") == 3
    assert answer.endswith(b"+OK Mechanisms follow\r\n.\r\n")
    server = ServerConversation(Offers("pop.example.org", clear_passwords=True))
    assert b"\r\nUSER\r\nSASL PLAIN LOGIN\r\n" in say(server, b"CAPA\r\n")
    assert ask(server, b"AUTH PLAIN " + plain + b"\r\n") == Login("PLAIN", ALICE)


def test_auth_with_and_without_initial_response() -> None:
    """AUTH takes the response on its line or behind a challenge (RFC 5034 §4)."""
    plain = b64encode(b"\0alice\0secret")
    assert ask(secure(), b"auth plain " + plain + b"\r\n") == Login("PLAIN", ALICE)
    server = secure()
    assert say(server, b"AUTH PLAIN\r\n") == b"+ \r\n"
    assert ask(server, plain + b"\r\n") == Login("PLAIN", ALICE)
    server = secure()
    assert say(server, b"AUTH LOGIN\r\n") == b"+ " + b64encode(b"Username:") + b"\r\n"
    assert say(server, b64encode(b"alice") + b"\r\n") == b"+ " + b64encode(b"Password:") + b"\r\n"
    assert ask(server, b64encode(b"secret") + b"\r\n") == Login("LOGIN", ALICE)


def test_auth_that_fails_goes_on() -> None:
    """A cancelled, broken, unknown or too long AUTH is one error, and commands go on."""
    server = secure(response=100)
    assert say(server, b"AUTH PLAIN\r\n*\r\n").startswith(b"+ \r\n-ERR ")
    assert say(server, b"AUTH PLAIN !!!!\r\n").startswith(b"-ERR ")
    assert say(server, b"AUTH PLAIN = x\r\n").startswith(b"-ERR ")
    assert say(server, b"AUTH NONSENSE\r\n").startswith(b"-ERR ")
    assert say(server, b"AUTH PLAIN\r\n" + b"A" * 200 + b"\r\nCAPA\r\n").startswith(
        b"+ \r\n-ERR Line too long\r\n+OK"
    )
    assert ask(server, b"USER alice\r\nPASS secret\r\n") == Login("USER", ALICE)


def test_auth_by_scram() -> None:
    """The session gives the keys in between; a mechanism that nobody offers is none."""
    server = secure()
    server.mechanisms = lambda: {"SCRAM-SHA-256": lambda: ScramExchange("SCRAM-SHA-256", "n")}
    first = b64encode(b"n,,n=alice,r=abc")
    request = Login("SCRAM-SHA-256", ScramRequest("alice", "SCRAM-SHA-256"))
    assert ask(server, b"AUTH SCRAM-SHA-256 " + first + b"\r\n") == request
    server.continue_login(ScramKeys(b"salt", 4096, bytes(32), bytes(32)))
    assert server.bytes_to_send().startswith(b"+ ")
    final = b64encode(b"c=biws,r=abcn,p=" + b64encode(bytes(32)))
    assert ask(server, final + b"\r\n") == Login("SCRAM-SHA-256", ScramProof("alice", False))
    server.refuse(AuthenticationFailed())
    assert server.bytes_to_send().startswith(b"-ERR [AUTH] ")
    assert say(server, b"AUTH PLAIN =\r\n").startswith(b"-ERR That mechanism")


def test_refused_exchanges_count_as_failures() -> None:
    """What can never be right has the code of a failed log-in, and counts like one (RFC 3206)."""
    server = secure(failures=2)
    for closing in (False, True):
        assert say(server, b"AUTH PLAIN AGEA\r\n").startswith(b"-ERR [AUTH] ")
        assert server.closing is closing


def test_auth_alone_lists_mechanisms() -> None:
    """Outlook asks by AUTH with nothing or a blank behind it."""
    for line in (b"AUTH\r\n", b"AUTH \r\n"):
        assert say(secure(), line) == b"+OK Mechanisms follow\r\nPLAIN\r\nLOGIN\r\n.\r\n"


def test_capabilities_are_the_same_before_and_after_the_login() -> None:
    """What is announced before the login is announced behind it too (RFC 2449 §5)."""
    before = say(secure(), b"CAPA\r\n")
    assert before == say(logged_in(), b"CAPA\r\n")
    assert before.splitlines() == [
        b"+OK Capabilities follow",
        b"TOP",
        b"UIDL",
        b"RESP-CODES",
        b"AUTH-RESP-CODE",
        b"PIPELINING",
        b"UTF8 USER",
        b"LANG",
        b"USER",
        b"SASL PLAIN LOGIN",
        b"EXPIRE NEVER",
        b"IMPLEMENTATION mailplat",
        b".",
    ]
    bare = ServerConversation(Offers("h", retention="", implementation=""))
    assert say(bare, b"CAPA\r\n").splitlines()[-3:] == [b"UTF8 USER", b"LANG", b"."]
    told = say(ServerConversation(Offers("h", retention="30", login_delay=60)), b"CAPA\r\n")
    assert b"\r\nEXPIRE 30\r\nLOGIN-DELAY 60\r\n" in told


def test_stls_forgets_the_plaintext() -> None:
    """Whatever was pipelined behind STLS, before or after its answer, is never read."""
    server = ServerConversation(Offers("h", stls=True, clear_passwords=True))
    server.receive(b"USER mallory\r\nSTLS\r\nPASS injected\r\nCAPA\r\n")
    assert server.next_event() == StartTLS()
    server.accept_stls()
    assert server.bytes_to_send() == b"+OK Send PASS\r\n+OK Begin TLS negotiation\r\n"
    server.receive(b"PASS injected\r\n")
    assert server.next_event() is None
    server.tls_started()
    assert server.next_event() is None
    assert say(server, b"PASS secret\r\n").startswith(b"-ERR ")
    capabilities = say(server, b"CAPA\r\n")
    assert b"\r\nSTLS\r\n" not in capabilities
    assert b"\r\nUSER\r\n" in capabilities
    assert say(server, b"STLS\r\n") == b"-ERR TLS is active already\r\n"


@pytest.mark.parametrize(
    ("offers", "lines"),
    [
        (Offers("h"), b"STLS\r\n"),
        (Offers("h", stls=True), b"STLS now\r\n"),
        (Offers("h", stls=True), b"UTF8\r\nSTLS\r\n"),
    ],
)
def test_stls_is_refused(offers: Offers, lines: bytes) -> None:
    """STLS is refused where it is not offered, with an argument, and behind UTF8."""
    assert say(ServerConversation(offers), lines).splitlines()[-1].startswith(b"-ERR ")


def test_languages() -> None:
    """There is one language (RFC 6856 §3)."""
    server = secure()
    assert say(server, b"LANG\r\n") == b"+OK Languages follow\r\nen English\r\n.\r\n"
    assert say(server, b"LANG *\r\nLANG EN\r\n") == b"+OK en English it is\r\n" * 2
    assert say(server, b"LANG tlh\r\n").startswith(b"-ERR ")
    assert say(server, b"UTF8\r\n").startswith(b"+OK")
    assert server.utf8


def test_transaction_commands() -> None:
    """Single messages are answered from the maildrop, marked ones are gone (RFC 1939 §5)."""
    server = logged_in()
    assert say(server, b"STAT\r\n") == b"+OK 3 700\r\n"
    assert say(server, b"LIST 2\r\n") == b"+OK 2 200\r\n"
    assert say(server, b"UIDL 2\r\n") == b"+OK 2 7.5\r\n"
    assert say(server, b"DELE 2\r\n").startswith(b"+OK ")
    for line in (b"LIST 2", b"UIDL 2", b"DELE 2", b"RETR 2", b"TOP 2 1", b"LIST 4", b"RETR 0"):
        assert say(server, line + b"\r\n") == b"-ERR No such message\r\n"
    assert say(server, b"STAT\r\nNOOP\r\n") == b"+OK 2 500\r\n+OK\r\n"
    assert say(server, b"RSET\r\n") == b"+OK 3 messages (700 octets)\r\n"
    assert say(server, b"LIST 2\r\n") == b"+OK 2 200\r\n"


def test_events_of_a_transaction() -> None:
    """What needs the store is asked of the session."""
    for line, event in [
        (b"LIST", Listing(names=False)),
        (b"uidl", Listing(names=True)),
        (b"RETR 3", Retrieve(3)),
        (b"TOP 1 20", Top(1, 20)),
        (b"QUIT", Quit()),
    ]:
        assert ask(logged_in(), line + b"\r\n") == event


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ",
        b"RETR",
        b"RETR x",
        b"RETR -1",
        b"RETR 1 ",
        b"RETR 99999999999999999999",
        b"RETR \xd9\xa1",
        b"TOP 1",
        b"TOP 1 -1",
        b"TOP 1 99999999999999999999",
        b"LIST 1 2",
        b"USER alice",
        b"STLS",
        b"XTND",
        b"RETR\t1",
        b"\x80\xff\x00",
        b"GET / HTTP/1.1",
    ],
)
def test_nonsense_is_one_error(line: bytes) -> None:
    """Unknown, malformed and misplaced commands have one -ERR each, and life goes on."""
    answer = say(logged_in(), line + b"\r\nNOOP\r\n")
    assert answer.startswith(b"-ERR ")
    assert answer.endswith(b"\r\n+OK\r\n")
    assert answer.count(b"\r\n") == 2


def test_commands_before_the_login() -> None:
    """Nothing of a maildrop is told before the login."""
    states = {verb: states for verb, (states, _) in COMMANDS.items()}
    for verb in (v for v, s in states.items() if State.AUTHORIZATION not in s):
        assert say(secure(), verb + b" 1 1\r\n") == b"-ERR Log in first\r\n"


def test_too_many_errors_end_the_connection() -> None:
    """Who speaks something else is told so a few times, and then no more."""
    server = secure(errors=3)
    answer = say(server, b"GET / HTTP/1.1\r\nHost: x\r\nCookie: y\r\nCAPA\r\n")
    assert answer.splitlines() == [
        b"-ERR Unknown command",
        b"-ERR Unknown command",
        b"-ERR Unknown command; too many errors",
    ]
    assert server.closing
    assert say(server, b"CAPA\r\n") == b""


def test_lines_are_limited() -> None:
    """A line above the limit is dropped as it comes and is one error, however it is cut."""
    for chunk in (1, 7, 5000):
        server, answer = secure(line=255), b""
        wire = b"USER " + b"x" * 4000 + b"\r\nLANG en\r\n"
        for start in range(0, len(wire), chunk):
            answer += say(server, wire[start : start + chunk])
            assert len(server._input) <= max(chunk, 255) + chunk
        assert answer == b"-ERR Line too long\r\n+OK en English it is\r\n"
    exact = b"USER " + b"x" * 248 + b"\r\n"
    assert len(exact) == 255
    assert say(secure(line=255), exact).startswith(b"+OK")
    assert say(secure(line=255), exact.replace(b"x", b"xx", 1)).startswith(b"-ERR")


def test_lines_that_are_too_long_count() -> None:
    """Overlong lines end the connection as other faults do."""
    server = secure(line=10, errors=1)
    assert say(server, b"x" * 11 + b"\r\nCAPA\r\n") == b"-ERR Line too long; too many errors\r\n"
    assert server.closing


def test_reading_pauses() -> None:
    """Commands that wait for an answer pause the reading above the limit."""
    server = logged_in(read_ahead=100)
    ask(server, b"RETR 1\r\n")
    server.receive(b"NOOP\r\n" * 20)
    assert server.paused
    server.message(b"x")
    assert server.next_event() is None
    assert not server.paused
    assert server.bytes_to_send().count(b"+OK") == 21


def test_messages() -> None:
    """A message goes out as a whole or in blocks, dots stuffed; then the next command's turn."""
    server = logged_in()
    ask(server, b"RETR 1\r\nNOOP\r\n")
    server.message(b".a\r\n")
    assert server.next_event() is None
    assert server.bytes_to_send() == b"+OK 4 octets\r\n..a\r\n.\r\n+OK\r\n"
    ask(server, b"RETR 2\r\nNOOP\r\n")
    server.begin("4 octets")
    assert server.midway
    server.content(b".a")
    assert server.next_event() is None
    server.content(b"\r\n")
    server.end()
    assert not server.midway
    assert server.next_event() is None
    assert server.bytes_to_send() == b"+OK 4 octets\r\n..a\r\n.\r\n+OK\r\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (AuthenticationFailed("x"), b"-ERR [AUTH] Authentication credentials invalid"),
        (InUse("x"), b"-ERR [IN-USE] In use by another session"),
        (Unavailable("x"), b"-ERR [SYS/TEMP] Temporarily unavailable; please try again later"),
        (OverQuota("x"), b"-ERR Mailbox full"),
        (MailError("x"), b"-ERR [SYS/TEMP] Something went wrong here; please try again later"),
    ],
)
def test_errors_have_codes(error: MailError, line: bytes) -> None:
    """Each error is told by its code and its public words (RFC 2449 §8, RFC 3206)."""
    server = secure()
    ask(server, b"USER alice\r\nPASS secret\r\n")
    server.refuse(error)
    assert server.bytes_to_send().splitlines()[-1] == line
    assert server.state is State.AUTHORIZATION


def test_failed_logins_are_limited() -> None:
    """So many wrong passwords end the connection; other failures do not count."""
    server = secure(failures=2)
    for error, closing in ((AuthenticationFailed(), False), (InUse(), False), (InUse(), False)):
        ask(server, b"USER alice\r\nPASS secret\r\n")
        server.refuse(error)
        assert server.closing is closing
    ask(server, b"USER alice\r\nPASS secret\r\n")
    server.refuse(AuthenticationFailed())
    assert server.closing


def test_quit() -> None:
    """QUIT ends the connection: at once before a login, behind its answer after it."""
    server = secure()
    assert say(server, b"QUIT\r\nCAPA\r\n") == b"+OK Bye\r\n"
    assert server.closing
    server = logged_in()
    assert ask(server, b"QUIT\r\nNOOP\r\n") == Quit()
    assert server.state is State.UPDATE
    server.bye()
    assert (server.bytes_to_send(), server.closing) == (b"+OK Bye\r\n", True)
    server = logged_in()
    ask(server, b"QUIT\r\n")
    server.refuse(Unavailable())
    assert server.bytes_to_send().startswith(b"-ERR [SYS/TEMP] Some deleted messages not removed")
    assert server.closing


def test_shutdown_and_end_of_input() -> None:
    """A server that stops says so; an unfinished line at the end of input is no command."""
    server = logged_in()
    server.shut_down()
    assert server.bytes_to_send().startswith(b"-ERR [SYS/TEMP] ")
    assert server.closing
    server = logged_in()
    server.receive(b"NOOP\r\nQUIT")
    server.end_of_input()
    assert server.next_event() is None
    assert server.bytes_to_send() == b"+OK\r\n"


DIALOGUE = (
    b"CAPA\r\nUSER alice\r\nPASS secret\r\nSTAT\r\nLIST\r\nRETR 1\r\nDELE 1\nFOO \x00\r\n"
    b"TOP 2 0\r\nUIDL\r\nRETR 1\r\n" + b"x" * 600 + b"\r\nNOOP\r\nQUIT\r\nNOOP\r\n"
)


def dialogue(chunks: list[bytes]) -> bytes:
    """Hold a dialogue with simple answers; give what the client reads."""
    server, read = secure(), b""
    for chunk in chunks:
        server.receive(chunk)
        while (event := server.next_event()) is not None:
            if isinstance(event, Login):
                server.accept_login(Maildrop(7, [3, 5], [100, 200]))
            elif isinstance(event, Quit):
                server.bye()
            else:
                server.message(repr(event).encode())
        read += server.bytes_to_send()
    assert server.closing
    return read


def test_the_same_at_every_cut() -> None:
    """A dialogue reads the same however the client's bytes are cut."""
    whole = dialogue([DIALOGUE])
    assert whole.count(b"-ERR") == 3
    assert whole.endswith(b"+OK Bye\r\n")
    for cut in range(1, len(DIALOGUE)):
        assert dialogue([DIALOGUE[:cut], DIALOGUE[cut:]]) == whole, cut


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, len(DIALOGUE)), max_size=40))
def test_the_same_in_many_pieces(cuts: list[int]) -> None:
    """In any number of pieces too."""
    ends = [0, *sorted(cuts), len(DIALOGUE)]
    assert dialogue([DIALOGUE[a:b] for a, b in pairwise(ends)]) == dialogue([DIALOGUE])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200).map(lambda noise: noise.replace(b"\n", b"\r\n") + b"\r\n"))
def test_noise_has_an_answer_a_line(noise: bytes) -> None:
    """Whatever comes, each line has its answer, and nothing breaks."""
    server = logged_in(errors=1000)
    server.receive(noise)
    lines = noise.count(b"\n")
    answers = 0
    while (event := server.next_event()) is not None:
        answers += 1
        if isinstance(event, Quit):
            return
        server.message(b"")
    assert server.bytes_to_send().count(b"\r\n") >= lines
