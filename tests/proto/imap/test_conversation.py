"""Tests for `mailplat.proto.imap.conversation`: transcripts, at every cut of their input."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest

from mailplat.model.errors import OverQuota
from mailplat.proto.conversation import Conversation
from mailplat.proto.imap.commands.append import (
    Append,
    AppendData,
    AppendEnd,
    AppendMessage,
    AppendNext,
)
from mailplat.proto.imap.commands.event import Aborted, Command, Event
from mailplat.proto.imap.commands.mailboxes import Check, Select
from mailplat.proto.imap.commands.messages import Fetch
from mailplat.proto.imap.commands.searches import Search
from mailplat.proto.imap.commands.session import (
    Authenticate,
    AuthenticateResponse,
    Done,
    Idle,
    Login,
    Logout,
    Noop,
    StartTLS,
)
from mailplat.proto.imap.conversation import ServerConversation
from mailplat.proto.imap.fetch_items import Preview
from mailplat.proto.imap.grammar import GRAMMAR
from mailplat.proto.imap.limits import Limits
from mailplat.proto.imap.refusal import Condition
from mailplat.proto.imap.search_keys import Larger
from mailplat.proto.imap.syntax import ANY_STATE, State, Syntax
from mailplat.proto.imap.tokens import Tokens

BEFORE = State.NOT_AUTHENTICATED
AFTER = State.AUTHENTICATED


def test_has_the_shape_of_conversations() -> None:
    """`net` carries it like any other."""
    conversation: Conversation[Event] = ServerConversation()
    assert conversation.next_event() is None
    assert not conversation.paused
    assert not conversation.closing
    assert conversation.bytes_to_send() == b""


DIALOGUES = [
    (
        BEFORE,
        b"a LOGIN {3}\r\njoe {3+}\r\nabc\r\nb SELECT inbox\r\n\r\nc NOOP\r\nd CHECK\r\n",
        [Login(b"a", "joe", "abc"), Select(b"b", "INBOX"), Noop(b"c"), Check(b"d")],
        b"+ OK\r\na OK done\r\nb OK done\r\nc OK done\r\nd OK done\r\n",
    ),
    (
        AFTER,
        b"a APPEND x {5}\r\nhello (\\Seen) {3+}\r\n\r\n. {0+}\r\n\r\nb NOOP\r\n",
        [
            Append(b"a", "x", AppendMessage(5)),
            AppendData(b"hello"),
            AppendNext(AppendMessage(3, frozenset({"\\Seen"}))),
            AppendData(b"\r\n."),
            AppendNext(AppendMessage(0)),
            AppendEnd(),
            Noop(b"b"),
        ],
        b"+ OK\r\na OK done\r\nb OK done\r\n",
    ),
    (
        AFTER,
        b"a APPEND x UTF8 (~{3+}\r\na\x00b)\r\nb NOOP\r\n",
        [
            Append(b"a", "x", AppendMessage(3, binary=True, utf8=True)),
            AppendData(b"a\x00b"),
            AppendEnd(),
            Noop(b"b"),
        ],
        b"a OK done\r\nb OK done\r\n",
    ),
    (  # junk behind a message: what was stored is undone
        AFTER,
        b"a APPEND x {5+}\r\nhello)\r\nb NOOP\r\n",
        [Append(b"a", "x", AppendMessage(5)), AppendData(b"hello"), Aborted(), Noop(b"b")],
        b"a BAD Too many arguments\r\nb OK done\r\n",
    ),
    (
        AFTER,
        b"a APPEND x {2+}\r\nab FOO {9+}\r\nb NOOP\r\n c\nd NOOP\r\ne NOOP\r\n",
        [Append(b"a", "x", AppendMessage(2)), AppendData(b"ab"), Aborted(), Noop(b"e")],
        b"a BAD Expected a message\r\ne OK done\r\n",
    ),
    (  # a literal of a command that is refused is no command
        AFTER,
        b"a FOO {9+}\r\nb NOOP\r\n\n {1+}\r\nx\r\nc NOOP\r\n",
        [Noop(b"c")],
        b"a BAD Unknown command\r\nc OK done\r\n",
    ),
    (  # a synchronizing one is not asked for, and so never sent
        AFTER,
        b"a FOO {9}\r\nb NOOP\r\n",
        [Noop(b"b")],
        b"a BAD Unknown command\r\nb OK done\r\n",
    ),
    (  # bare LF: what is behind it is no command
        AFTER,
        b"a NOOP\nb LOGOUT\r\nc NOOP\r\n",
        [Noop(b"c")],
        b"a BAD Lines end in CR LF\r\nc OK done\r\n",
    ),
    (
        AFTER,
        b"a NOOP\nb {9+}\r\nc LOGOUT\r\n x\r\nd NOOP\r\n",
        [Noop(b"d")],
        b"a BAD Lines end in CR LF\r\nd OK done\r\n",
    ),
    (
        AFTER,
        b"a IDLE\r\nDONE\r\nb idle\r\ndone\r\nc NOOP\r\n",
        [Idle(b"a"), Done(), Idle(b"b"), Done(), Noop(b"c")],
        b"+ idling\r\na OK done\r\n+ idling\r\nb OK done\r\nc OK done\r\n",
    ),
    (  # a new command in the place of DONE
        AFTER,
        b"a IDLE\r\nb NOOP\r\nc NOOP\r\n",
        [Idle(b"a"), Done(), Noop(b"b"), Noop(b"c")],
        b"+ idling\r\na OK done\r\nb OK done\r\nc OK done\r\n",
    ),
    (
        AFTER,
        b"a IDLE\r\nDO\nNE\r\nc NOOP\r\n",
        [Idle(b"a"), Done(), Noop(b"c")],
        b"+ idling\r\na OK done\r\nDO BAD Lines end in CR LF\r\nc OK done\r\n",
    ),
]


@pytest.mark.parametrize(("state", "wire", "events", "output"), DIALOGUES)
def test_dialogues_at_every_cut(
    play: Any, state: State, wire: bytes, events: list[Event], output: bytes
) -> None:
    """The same bytes say the same, wherever they are cut."""
    cuts = [(wire[:cut], wire[cut:]) for cut in range(1, len(wire))]
    for chunks in [(wire,), *cuts, tuple(wire[at : at + 1] for at in range(len(wire)))]:
        game = play(state)
        game.feed(*chunks)
        assert game.events == events, chunks
        assert game.output == output, chunks


def test_pipelined_commands_wait_their_turn() -> None:
    """While a command is unanswered the next is not even read."""
    conversation = ServerConversation()
    conversation.receive(b"a NOOP\r\nb BROKEN\r\nc NOOP\r\n")
    assert conversation.next_event() == Noop(b"a")
    assert conversation.next_event() is None
    assert conversation.bytes_to_send() == b""
    conversation.send(b"* 1 EXISTS\r\n")
    conversation.ok(code="X 1")
    assert conversation.bytes_to_send() == b"* 1 EXISTS\r\na OK [X 1] NOOP completed\r\n"
    assert conversation.next_event() == Noop(b"c")
    assert conversation.bytes_to_send() == b"b BAD Unknown command\r\n"


def test_answers() -> None:
    """All forms of an answer; the text is never empty and never ends the line."""
    conversation = ServerConversation()
    expected: list[tuple[Callable[[], None], bytes]] = [
        (lambda: conversation.no("Not\r\nnow"), b"a NO Not now\r\n"),
        (lambda: conversation.bad(""), b"a BAD -\r\n"),
        (lambda: conversation.ok("fine", "READ-WRITE"), b"a OK [READ-WRITE] fine\r\n"),
        (lambda: conversation.ok("[fine"), b"a OK - [fine\r\n"),
        (lambda: conversation.no("größer"), b"a NO gr??er\r\n"),
        (lambda: conversation.refuse(OverQuota("private")), b"a NO [OVERQUOTA] Mailbox full\r\n"),
        (lambda: conversation.answer(Condition.BAD, "x"), b"a BAD x\r\n"),
    ]
    for answer, line in expected:
        conversation.receive(b"a NOOP\r\n")
        assert conversation.next_event() is not None
        answer()
        assert conversation.bytes_to_send() == line


def test_answer_without_a_command_is_our_fault() -> None:
    """It is never sent to a client."""
    conversation = ServerConversation()
    with pytest.raises(RuntimeError):
        conversation.ok()
    with pytest.raises(RuntimeError):
        conversation.accept()
    with pytest.raises(RuntimeError):
        conversation.challenge(b"")


def test_greetings_and_bye() -> None:
    """OK, PREAUTH and BYE; behind BYE there is nothing."""
    conversation = ServerConversation()
    conversation.greet("hello", "CAPABILITY IMAP4rev1")
    assert conversation.bytes_to_send() == b"* OK [CAPABILITY IMAP4rev1] hello\r\n"
    conversation.greet("hello", logged_in=True)
    assert conversation.bytes_to_send() == b"* PREAUTH hello\r\n"
    assert conversation.state is AFTER
    conversation.receive(b"a NOOP\r\n")
    assert conversation.next_event() == Noop(b"a")
    conversation.bye("Shutting down", "UNAVAILABLE")
    conversation.ok()
    conversation.send(b"* 1 EXISTS\r\n")
    conversation.receive(b"b NOOP\r\n")
    assert conversation.next_event() is None
    assert conversation.bytes_to_send() == b"* BYE [UNAVAILABLE] Shutting down\r\n"
    assert conversation.closing


def test_logout(play: Any) -> None:
    """BYE comes before the OK, and what is pipelined behind is dropped."""
    game = play(AFTER)
    output = game.feed(b"a LOGOUT\r\nb NOOP\r\n")
    assert output == b"* BYE Logging out\r\na OK done\r\n"
    assert game.events == [Logout(b"a")]
    assert game.conversation.closing


def test_states_follow_the_session(play: Any) -> None:
    """What may come follows what the session said."""
    game = play(BEFORE)
    game.feed(b"a LOGIN x y\r\n")
    assert game.conversation.state is AFTER
    game.feed(b"b SELECT x\r\n")
    assert game.conversation.state is State.SELECTED
    game.conversation.mailbox_closed()
    assert game.feed(b"c CHECK\r\n").startswith(b"c BAD ")
    game.conversation.logged_out()
    assert game.conversation.state is BEFORE
    game.conversation.mailbox_closed()
    assert game.conversation.state is BEFORE


# AUTHENTICATE


def test_authenticate(play: Any) -> None:
    """Lines go to and fro unread, until the answer."""

    def exchange(conversation: ServerConversation, event: Event) -> None:
        match event:
            case Authenticate():
                conversation.challenge(b"")
            case AuthenticateResponse(line=b"one"):
                conversation.challenge(b"Zm9v")
            case _:
                conversation.ok("in")

    wire = b"a AUTHENTICATE X\r\none\r\ntwo {3}\r\nb NOOP\r\n"
    for cut in range(1, len(wire)):
        game = play(BEFORE, answer=exchange)
        game.feed(wire[:cut], wire[cut:])
        assert game.events == [
            Authenticate(b"a", "X"),
            AuthenticateResponse(b"one"),
            AuthenticateResponse(b"two {3}"),
            Noop(b"b"),
        ]
        assert game.output == b"+ \r\n+ Zm9v\r\na OK in\r\nb OK in\r\n"


def test_authenticate_line_too_long(play: Any) -> None:
    """An endless response is answered, and the session told."""

    def exchange(conversation: ServerConversation, event: Event) -> None:
        if isinstance(event, Authenticate):
            conversation.challenge(b"")
        elif isinstance(event, Command):
            conversation.ok("x")

    game = play(BEFORE, answer=exchange)
    game.feed(b"a AUTHENTICATE X\r\n" + b"A" * 20000, b"A\r\nb NOOP\r\n")
    assert game.events == [Authenticate(b"a", "X"), Aborted(), Noop(b"b")]
    assert game.output == b"+ \r\na BAD Line too long\r\nb OK x\r\n"
    game = play(BEFORE, answer=exchange)
    game.feed(b"a AUTHENTICATE X\r\nfoo")
    game.end()
    assert game.events == [Authenticate(b"a", "X"), Aborted()]
    assert game.conversation.closing


# STARTTLS, COMPRESS


def test_starttls_drops_what_was_pipelined(play: Any) -> None:
    """Not a byte from before TLS is read after it (RFC 9051 §6.2.1)."""
    game = play(BEFORE)
    game.feed(b"a STARTTLS\r\nb LOGIN x y\r\nc NO", b"OP\r\n")
    assert game.events == [StartTLS(b"a")]
    assert game.output == b"a OK done\r\n"
    assert game.conversation.wants_tls
    game.conversation.tls_started()
    assert not game.conversation.wants_tls
    assert game.feed(b"d NOOP\r\n") == b"d OK done\r\n"


def test_starttls_refused(play: Any) -> None:
    """Refused, the connection goes on as it was."""
    game = play(BEFORE, answer=lambda conversation, event: conversation.no("no"))
    game.feed(b"a STARTTLS\r\nb NOOP\r\n")
    assert game.output == b"a NO no\r\nb NO no\r\n"


def test_tls_in_the_middle_of_a_command() -> None:
    """Whatever was under way is forgotten."""
    conversation = ServerConversation()
    conversation.enable(["IMAP4rev2"])
    conversation.receive(b"a LOGIN {3}\r\nab")
    assert conversation.next_event() is None
    conversation.tls_started()
    assert not conversation.utf8
    conversation.receive(b"b NOOP\r\n")
    assert conversation.next_event() == Noop(b"b")


def compressed(*lines: bytes) -> bytes:
    """Compress lines as a client does."""
    deflating = zlib.compressobj(wbits=-15)
    return b"".join(deflating.compress(line) + deflating.flush(zlib.Z_SYNC_FLUSH) for line in lines)


@pytest.mark.parametrize("ahead", [False, True])
def test_compress(play: Any, ahead: bool) -> None:
    """Behind the OK both ways are compressed, also what came before the client saw it."""
    game = play(AFTER)
    inflating = zlib.decompressobj(-15)
    rest = compressed(b"b NOOP\r\n", b"c APPEND INBOX {3+}\r\nabc\r\n", b"d NOOP\r\n")
    said = game.feed(b"a COMPRESS DEFLATE\r\n" + (rest if ahead else b""))
    said += game.feed(b"" if ahead else rest)
    start = b"a OK done\r\n"
    assert said.startswith(start)
    answers = inflating.decompress(said.removeprefix(start))
    assert answers == b"b OK done\r\nc OK done\r\nd OK done\r\n"
    assert game.conversation.compressed


def test_compress_at_every_cut(play: Any) -> None:
    """However compressed input is cut, it means the same."""
    wire = compressed(b"b NOOP\r\n", b"c NOOP\r\n")
    for cut in range(len(wire)):
        game = play(AFTER)
        game.feed(b"a COMPRESS DEFLATE\r\n")
        said = game.feed(wire[:cut]) + game.feed(wire[cut:])
        assert zlib.decompressobj(-15).decompress(said) == b"b OK done\r\nc OK done\r\n", cut


def test_compressed_floods_are_bounded(play: Any) -> None:
    """A few bytes that stand for very many are inflated no further than they are read."""
    game = play(AFTER)
    game.feed(b"a COMPRESS DEFLATE\r\n")
    bomb = compressed(b"b NOOP " + b"x" * 50_000_000)
    for at in range(0, len(bomb), 4096):
        game.feed(bomb[at : at + 4096])
    assert len(game.conversation._fragments) < 100_000
    assert game.conversation.closing or len(game.output) < 1000


@pytest.mark.parametrize("junk", [b"\xff\xff\xff", b"b NOOP\r\n", compressed() + b"\x03\x00"])
def test_what_is_no_deflate_ends_the_connection(play: Any, junk: bytes) -> None:
    """There is no way to find the next command."""
    game = play(AFTER)
    game.feed(b"a COMPRESS DEFLATE\r\n")
    game.feed(junk)
    assert game.conversation.closing


# APPEND


def refusing(conversation: ServerConversation, event: Event) -> None:
    """A session that has no room."""
    if isinstance(event, Append):
        conversation.no("Full", "OVERQUOTA")
    elif isinstance(event, Command):
        conversation.ok("x")


def test_append_refused_unread(play: Any) -> None:
    """A synchronizing message that is refused is never sent."""
    game = play(AFTER, answer=refusing)
    game.feed(b"a APPEND x {5}\r\n")
    assert game.output == b"a NO [OVERQUOTA] Full\r\n"
    assert game.feed(b"b NOOP\r\n") == b"b OK x\r\n"


def test_append_refused_and_drained(play: Any) -> None:
    """A message that comes anyway is drained to its end, then answered, once."""
    game = play(AFTER, answer=refusing)
    assert game.feed(b"a APPEND x {8+}\r\nb LOG") == b""
    assert game.feed(b"OUT {3+}\r\n") == b""
    output = game.feed(b"xyz\r\nc NOOP\r\n")
    assert output == b"a NO [OVERQUOTA] Full\r\nc OK x\r\n"
    assert game.events == [Append(b"a", "x", AppendMessage(8)), Noop(b"c")]


def test_append_given_up_in_the_middle(play: Any) -> None:
    """The disk is full half way: the rest is drained unseen, then answered."""
    seen: list[Event] = []

    def session(conversation: ServerConversation, event: Event) -> None:
        seen.append(event)
        if isinstance(event, Append):
            conversation.accept()
        elif isinstance(event, AppendData):
            conversation.no("Full")
        else:
            conversation.ok("x")

    game = play(AFTER, answer=session)
    game.feed(b"a APPEND x {10}\r\n", b"hello")
    assert game.output == b"+ OK\r\n"
    assert game.feed(b"world {100+}\r\n", b"y" * 100) == b""
    assert game.feed(b" FOO\r\nb NOOP\r\n") == b"a NO Full\r\nb OK x\r\n"
    assert len(seen) == 3
    game = play(AFTER, answer=session)
    game.feed(b"a APPEND x {5+}\r\n", b"hello", b" {100}\r\n")
    assert game.output == b"a NO Full\r\n"  # the next one is synchronizing: it will not come


def test_append_limits(play: Any) -> None:
    """Size, count and LITERAL-; the answer says TOOBIG (RFC 7888 §5, RFC 7889 §4)."""
    limits = Limits(message=10, messages=2, non_synchronizing=8)
    game = play(AFTER, limits)
    assert game.feed(b"a APPEND x {11}\r\n").startswith(b"a NO [TOOBIG] ")
    assert game.feed(b"b APPEND x {9+}\r\nb NOOP..x\r\n").startswith(b"b BAD [TOOBIG] ")
    game.feed(b"c APPEND x {1+}\r\n1 {1+}\r\n2 {1+}\r\n3\r\n")
    assert game.events[-1] == Aborted()
    assert game.output.endswith(b"c NO [LIMIT] Too many messages in one command\r\n")
    assert game.feed(b"d NOOP\r\n") == b"d OK done\r\n"


def test_append_cut_off(play: Any) -> None:
    """The connection ends in a message: nothing of it is kept."""
    for wire in (b"a APPEND x {5+}\r\nhel", b"a APPEND x {5+}\r\nhello"):
        game = play(AFTER)
        game.feed(wire)
        game.end()
        assert game.events[-1] == Aborted()
        assert game.conversation.closing
        assert b"OK" not in game.output


def test_append_comes_in_blocks(play: Any) -> None:
    """A message is never held as a whole."""
    conversation = ServerConversation(limits=Limits(block=100))
    conversation.logged_in()
    conversation.receive(b"a APPEND x {1000+}\r\n")
    assert isinstance(conversation.next_event(), Append)
    conversation.accept()
    conversation.receive(b"x" * 950)
    sizes = []
    while (event := conversation.next_event()) is not None:
        assert isinstance(event, AppendData)
        sizes.append(len(event.data))
    assert sizes == [100] * 9 + [50]


# IDLE


def test_idle_sends_at_any_time(play: Any) -> None:
    """What happens is told while the client waits."""
    game = play(AFTER)
    game.feed(b"a IDLE\r\n")
    game.conversation.send(b"* 5 EXISTS\r\n")
    assert game.conversation.bytes_to_send() == b"* 5 EXISTS\r\n"
    assert game.feed(b"DONE\r\n") == b"a OK done\r\n"


def test_idle_refused_or_ended_by_the_session(play: Any) -> None:
    """NO, or an answer before DONE: the DONE that comes is no command."""
    game = play(AFTER, answer=lambda conversation, event: conversation.no("no"))
    assert game.feed(b"a IDLE\r\nb NOOP\r\n") == b"a NO no\r\nb NO no\r\n"
    game = play(AFTER)
    game.feed(b"a IDLE\r\n")
    game.conversation.no("Mailbox is gone")
    assert game.feed(b"DONE\r\nb NOOP\r\n") == b"a NO Mailbox is gone\r\nb OK done\r\n"


def test_idle_cut_off(play: Any) -> None:
    """The connection ends in IDLE."""
    game = play(AFTER)
    game.feed(b"a IDLE\r\n")
    game.end()
    assert game.events == [Idle(b"a"), Aborted()]
    assert game.conversation.closing


# limits


def test_line_limits_follow_the_state(play: Any) -> None:
    """8 KiB before log-in, 64 KiB after it."""
    long = b"a ENABLE " + b" ".join([b"CONDSTORE"] * 2000) + b"\r\n"
    assert play(BEFORE).feed(long) == b"a BAD Line too long\r\n"
    assert play(AFTER).feed(long) == b"a OK done\r\n"
    assert play(AFTER).feed(b"a " + b"x" * 70000 + b"\r\nb NOOP\r\n") == (
        b"a BAD Line too long\r\nb OK done\r\n"
    )


@pytest.mark.parametrize("mark", [b"", b"+"])
def test_literal_limits(play: Any, mark: bytes) -> None:
    """A literal that is too large is refused: unread, or drained."""
    game = play(BEFORE, Limits(line_before_login=100))
    output = game.feed(b"a LOGIN {101" + mark + b"}\r\n")
    if mark:
        assert output == b""
        output = game.feed(b"b NOOP\r\n" * 12 + b"12345 {4+}\r\nxxxx\r\n")
    assert output == b"a BAD [TOOBIG] Literal too large\r\n"
    assert game.feed(b"c NOOP\r\n") == b"c OK done\r\n"


def test_number_of_literals_and_command_size(play: Any) -> None:
    """Many small literals do not add up to much either."""
    game = play(AFTER, Limits(literals=3, command=1000))
    pair = b'{1+}\r\nk "v" '
    assert game.feed(b"a ID (" + pair * 3 + b'"x" NIL)\r\n') != b""
    assert game.feed(b"b ID (" + pair * 4 + b'"x" NIL)\r\n').startswith(b"b BAD [LIMIT] ")
    wire = b'c ID ("k" {600+}\r\n' + b"v" * 600 + b' "k" {600+}\r\n' + b"v" * 600 + b")\r\n"
    assert game.feed(wire).startswith(b"c BAD [TOOBIG] ")
    assert game.feed(b"d NOOP\r\n") == b"d OK done\r\n"


def test_flood_ends_the_connection(play: Any) -> None:
    """What is drained is bounded too."""
    game = play(BEFORE)
    output = game.feed(b"a FOO {999999999999+}\r\n")
    assert output == b"* BYE [TOOBIG] Too much data in a refused command\r\n"
    assert game.conversation.closing
    game = play(BEFORE)
    for _ in range(40):
        game.feed(b"x" * 8192)
    assert game.output.startswith(b"* BAD Line too long\r\n* BYE ")
    assert game.conversation.closing


def test_bad_commands_end_the_connection(play: Any) -> None:
    """So many, one after the other; a good one is forgiveness."""
    game = play(BEFORE, Limits(bad_commands=3))
    game.feed(b"x\r\nx\r\na NOOP\r\nx\r\nx\r\n")
    assert not game.conversation.closing
    game.feed(b"x\r\n")
    assert game.output.endswith(b"* BYE Too many bad commands\r\n")
    assert game.conversation.closing


def test_id_may_be_long_before_log_in(play: Any) -> None:
    """ID may have 30 fields of 1024 bytes (RFC 2971 §3.3), and no more than that."""
    field = b'"k" "' + b"v" * 1000 + b'"'
    assert play(BEFORE).feed(b"a ID (" + b" ".join([field] * 30) + b")\r\n") == b"a OK done\r\n"
    long = play(BEFORE).feed(b"a ID (" + b" ".join([field] * 33) + b")\r\nb NOOP\r\n")
    assert long == b"a BAD Line too long\r\nb OK done\r\n"


def test_paused_while_an_answer_is_awaited() -> None:
    """Input that nobody reads is bounded, and reading goes on by itself."""
    conversation = ServerConversation(
        limits=Limits(line_before_login=100, id_line=100, authenticate_line=50)
    )
    conversation.receive(b"a NOOP\r\n" * 100)
    assert conversation.paused
    answered = 0
    while conversation.next_event() is not None:
        conversation.ok()
        answered += 1
    assert answered == 100
    assert not conversation.paused


def test_commands_that_wait_are_bounded() -> None:
    """While a command is being answered little more is read; one that needs more input gets it."""
    limits = Limits(read_ahead=20, line=300, authenticate_line=300)
    conversation = ServerConversation(limits=limits)
    conversation.logged_in()
    conversation.receive(b"a NOOP\r\n" + b"b NOOP\r\n" * 2)
    assert not conversation.paused
    assert conversation.next_event() is not None
    assert not conversation.paused
    conversation.receive(b"c NOOP\r\n")
    assert conversation.paused
    conversation.ok()
    assert not conversation.paused
    for command in (b"d APPEND x {200}\r\n", b"e IDLE\r\n"):
        conversation = ServerConversation(limits=limits)
        conversation.logged_in()
        conversation.receive(command)
        assert conversation.next_event() is not None
        conversation.receive(b"x" * 100)
        assert not conversation.paused


def test_never_paused_while_input_is_awaited() -> None:
    """A transport that stops reading when told still brings in the largest line and literal."""
    limits = Limits(line=100, literal=1000, authenticate_line=10)
    for wire in (
        b"a ID (" + b" " * 200 + b"\r\n",
        b'a ID ("k" {1000+}\r\n' + b"v" * 1000 + b")\r\n",
    ):
        conversation = ServerConversation(limits=limits)
        conversation.logged_in()
        for at in range(len(wire)):
            assert not conversation.paused, at
            conversation.receive(wire[at : at + 1])
            assert at == len(wire) - 1 or conversation.next_event() is None
        assert conversation.next_event() is not None or conversation.bytes_to_send()


def test_end_of_input(play: Any) -> None:
    """What was asked before is still answered; half a command is not."""
    conversation = ServerConversation()
    conversation.receive(b"a NOOP\r\nb NOOP\r\nc NO")
    conversation.end_of_input()
    assert conversation.next_event() == Noop(b"a")
    assert not conversation.closing
    conversation.ok()
    assert conversation.next_event() == Noop(b"b")
    conversation.ok()
    assert conversation.next_event() is None
    assert conversation.closing


def test_a_plugin_adds_a_command(play: Any) -> None:
    """A grammar takes more commands; the conversation knows no difference."""

    def read(tokens: Tokens, tag: bytes) -> Command:
        tokens.end()
        return Noop(b"x-" + tag)

    grammar = GRAMMAR.extended(commands={b"XHELLO": Syntax(ANY_STATE, read)})
    conversation = ServerConversation(grammar=grammar)
    conversation.receive(b"a xhello\r\n")
    assert conversation.next_event() == Noop(b"x-a")
    conversation.ok()
    assert conversation.bytes_to_send() == b"x-a OK XHELLO completed\r\n"


def test_a_plugin_adds_items_and_keys() -> None:
    """FETCH items and SEARCH keys are added likewise."""
    grammar = GRAMMAR.extended(
        fetch_items={b"X-LAZY": lambda tokens: Preview(lazy=True)},
        search_keys={b"XHUGE": lambda tokens: Larger(2**30)},
    )
    conversation = ServerConversation(grammar=grammar)
    conversation.state = State.SELECTED
    conversation.receive(b"a FETCH 1 (X-LAZY)\r\nb SEARCH NOT XHUGE\r\n")
    fetch = conversation.next_event()
    assert isinstance(fetch, Fetch)
    assert fetch.items == (Preview(lazy=True),)
    conversation.ok()
    assert isinstance(conversation.next_event(), Search)
