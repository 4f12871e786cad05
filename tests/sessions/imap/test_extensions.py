"""What a plugin adds to IMAP: a command, a FETCH item, a SEARCH key, capabilities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import pytest_twisted
from zope.interface.verify import verifyObject

from mailplat.interfaces.imap_extensions import (
    FetchedItem,
    IIMAPExtension,
    IIMAPSession,
    IMAPExtension,
)
from mailplat.interfaces.store import Column, Rows
from mailplat.model.errors import ConfigurationFault, NotPermitted
from mailplat.model.flags import FlagAction
from mailplat.net.imap import IMAPConnection
from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.conversation import ServerConversation
from mailplat.proto.imap.search_keys import SearchKey
from mailplat.proto.imap.sets import SequenceSet
from mailplat.proto.imap.syntax import ANY_STATE, MAILBOX_OPEN, Grammar, Syntax
from mailplat.proto.imap.tokens import Tokens
from mailplat.sessions.imap.extending import Extensions
from mailplat.sessions.imap.services import IMAPOptions
from mailplat.sessions.imap.state import SessionState
from mailplat.sessions.imap.switches import switches
from mailplat.sessions.imap.unauthenticate import UnauthenticateExtension
from mailplat.testing.imap_server import IMAPServer
from mailplat.testing.mails import mail
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.turns import turn


@dataclass(frozen=True, slots=True)
class Greet(Command):
    """Says hello, in any state."""

    whom: str


@dataclass(frozen=True, slots=True)
class Star(Command):
    """Flags messages by their sequence numbers."""

    tells_itself: ClassVar[bool] = True

    numbers: SequenceSet
    uid: bool

    @property
    def tells_expunge(self) -> bool:
        """As STORE."""
        return self.uid


@dataclass(frozen=True, slots=True)
class Weight:
    """A FETCH item: the size in another unit."""

    unit: int
    label: bytes = b"X-WEIGHT"


@dataclass(frozen=True, slots=True)
class Odd(SearchKey):
    """A SEARCH key: odd UIDs, or what is left when divided."""

    rest: int


def _greet(tokens: Tokens, tag: bytes) -> Greet:
    tokens.space()
    whom = tokens.text_argument()
    tokens.end()
    return Greet(tag, whom)


def _star(uid: bool) -> Any:
    def read(tokens: Tokens, tag: bytes) -> Star:
        tokens.space()
        numbers = tokens.sequence_set()
        tokens.end()
        return Star(tag, numbers, uid)

    return read


def _weight(tokens: Tokens) -> Weight:
    tokens.expect(b"[")
    unit = tokens.number(1000)
    tokens.expect(b"]")
    return Weight(unit, b"X-WEIGHT[%d]" % unit)


def _odd(tokens: Tokens) -> Odd:
    tokens.space()
    return Odd(tokens.number(1))


async def _say_hello(session: IIMAPSession, command: Greet) -> None:
    if command.whom == "nobody":
        raise NotPermitted(public="Not to nobody")
    if command.whom == "zero":
        raise ZeroDivisionError
    known = session.account.name if session.account is not None else "stranger"
    session.conversation.send(b"* X-HELLO %b\r\n" % known.encode())
    session.conversation.ok()


async def _do_star(session: IIMAPSession, command: Star) -> None:
    assert session.mailbox is not None
    if session.read_only:
        raise NotPermitted
    uids = session.uids_of(command.numbers, uid=command.uid)
    await session.mailbox.store_flags(uids, FlagAction.ADD, ["\\Flagged"], None)
    session.changed()
    await session.tell_news(expunge=command.tells_expunge)
    session.conversation.ok()


async def _weigh(session: IIMAPSession, item: Weight, rows: Rows) -> Sequence[bytes]:
    return [b"%d" % (size // item.unit) for size in rows[Column.SIZE]]


async def _find_odd(session: IIMAPSession, key: Odd, uids: Sequence[int]) -> Iterable[int]:
    return (uid for uid in uids if uid % 2 == key.rest)


class Acme(IMAPExtension):
    """Adds all there is to add."""

    capability = "X-ACME"
    grammar = Grammar(
        {
            b"XGREET": Syntax(ANY_STATE, _greet),
            b"XSTAR": Syntax(MAILBOX_OPEN, _star(uid=False)),
            b"UID XSTAR": Syntax(MAILBOX_OPEN, _star(uid=True)),
        },
        {b"X-WEIGHT": _weight},
        {b"X-ODD": _odd},
    )
    answers: Mapping[type, Any] = {Greet: _say_hello, Star: _do_star}
    fetch_items: Mapping[type, FetchedItem] = {Weight: FetchedItem((Column.SIZE,), _weigh)}
    search_keys: Mapping[type, Any] = {Odd: _find_odd}
    enables = frozenset({"X-ACME"})

    def capabilities(self, session: IIMAPSession) -> Iterable[str]:
        """One before log-in, another after."""
        return ["X-ACME", "X-ACME=IN" if session.account is not None else "X-ACME=OUT"]


@pytest.fixture
def extensions() -> Sequence[IIMAPExtension]:
    """The one that adds all there is."""
    return [UnauthenticateExtension(), Acme()]


DIALOGUES = {
    "a command in any state": """
C: a XGREET you
S: * X-HELLO stranger
S: a OK XGREET completed
C: b LOGIN alice {6}
S: + OK
C: secret
S: b OK [CAPABILITY IMAP4rev1 ... X-ACME X-ACME=IN] Logged in
C: c XGREET {3+}
C: you
S: * X-HELLO alice@example.org
S: c OK XGREET completed
C: d XGREET
S: d BAD ...
C: e XGREET nobody
S: e NO [NOPERM] Not to nobody
C: f XSTAR 1
S: f BAD XSTAR is not allowed in the state: authenticated
C: g UNAUTHENTICATE
S: g OK UNAUTHENTICATE completed
C: h XGREET you
S: * X-HELLO stranger
S: h OK XGREET completed
C: i CAPABILITY
S: * CAPABILITY ... X-ACME X-ACME=OUT
S: i OK CAPABILITY completed
""",
    "a command with sequence numbers": """
C: a LOGIN alice secret
S: a OK ...
C: b SELECT INBOX
S> b OK ...
2C: a LOGIN alice secret
2S: a OK ...
2C: b SELECT INBOX
2S> b OK ...
2C: c UID STORE 1 +FLAGS.SILENT (\\Deleted)
2S: c OK ...
2C: d EXPUNGE
2S: * 1 EXPUNGE
2S: d OK EXPUNGE completed
C: c XSTAR 2
S: * 2 FETCH (FLAGS (\\Flagged \\Recent))
S: c OK XSTAR completed
C: d UID XSTAR 3
S: * 1 EXPUNGE
S: * 2 FETCH (FLAGS (\\Flagged \\Recent))
S: d OK UID XSTAR completed
C: e XSTAR 9
S: e BAD No such message
C: f EXAMINE INBOX
S> f OK ...
C: g XSTAR 1
S: g NO [NOPERM] ...
""",
    "an item and a key": """
C: a LOGIN alice secret
S: a OK ...
C: b SELECT INBOX
S> b OK ...
C: c FETCH 1:2 (FLAGS X-WEIGHT[10] X-WEIGHT[1] UID)
S: * 1 FETCH (UID 1 FLAGS (\\Recent) X-WEIGHT[10] 17 X-WEIGHT[1] 178)
S: * 2 FETCH (UID 2 FLAGS (\\Recent) X-WEIGHT[10] 17 X-WEIGHT[1] 178)
S: c OK FETCH completed
C: d FETCH 1 (X-WEIGHT[1] BODY.PEEK[TEXT]<0.4>)
S: * 1 FETCH (X-WEIGHT[1] 178 BODY[TEXT]<0> {4}
S: This)
S: d OK FETCH completed
C: e FETCH 1 X-WEIGHT
S: e BAD ...
C: f SEARCH X-ODD 1
S: * SEARCH 1 3
S: f OK SEARCH completed
C: g UID SEARCH RETURN (COUNT) OR X-ODD 0 (NOT X-ODD 0 SUBJECT "number 3")
S: * ESEARCH (TAG "g") UID COUNT 2
S: g OK UID SEARCH completed
C: h SEARCH X-ODD
S: h BAD ...
C: i ENABLE X-ACME X-OTHER
S: * ENABLED X-ACME
S: i OK ENABLE completed
""",
}


@pytest.mark.parametrize("name", DIALOGUES)
@pytest_twisted.ensureDeferred
async def test_dialogue(server: IMAPServer, name: str) -> None:
    """What is added is as good as what is built in."""
    await server.put(mail(1), mail(2), mail(3))
    await server.play(DIALOGUES[name], logged_in=False)


class TestBlocks:
    """FETCH of more than fits a block."""

    @pytest.fixture
    def options(self) -> IMAPOptions:
        """Tiny blocks."""
        return IMAPOptions(auth_needs_tls=False, block_rows=2, block_bytes=100)

    @pytest_twisted.ensureDeferred
    async def test_items(self, server: IMAPServer) -> None:
        """An item of an extension stands in its place, however the bodies are sent."""
        await server.put(*map(mail, range(1, 6)))
        wire, send = server.log_in()
        send(b"a SELECT INBOX\r\nb FETCH 1:5 (BODY.PEEK[] X-WEIGHT[178] UID)\r\n")
        for _ in range(20):
            await turn()
        said = wire.take()
        for uid in range(1, 6):
            assert b"* %d FETCH (UID %d BODY[] {178}\r\n" % (uid, uid) in said
        assert said.count(b" X-WEIGHT[178] 1)\r\n") == 5


@pytest_twisted.ensureDeferred
async def test_a_fault_of_the_extension(server: IMAPServer, logged_errors: LoggedErrors) -> None:
    """Its exception is logged and answered; the session goes on."""
    await server.play("""
C: a XGREET zero
S: a NO ...
C: b NOOP
S: b OK NOOP completed
""")
    assert len(logged_errors.flush(ZeroDivisionError)) == 1


class TestSwitchedOff:
    """Without its capability nothing of an extension is there."""

    @pytest.fixture
    def options(self) -> IMAPOptions:
        """As an operator says who does not want it."""
        return IMAPOptions(auth_needs_tls=False, disabled=switches(["x-acme"]))

    @pytest_twisted.ensureDeferred
    async def test_nothing_is_left(self, server: IMAPServer) -> None:
        """Commands, items and keys are refused, and nothing is listed."""
        await server.put(mail(1))
        await server.play(
            """
C: a XGREET you
S: a BAD X-ACME is not offered here
C: b LOGIN alice secret
S: b OK [CAPABILITY ... UNAUTHENTICATE] Logged in
C: c SELECT INBOX
S> c OK ...
C: d FETCH 1 (UID X-WEIGHT[1])
S: d BAD X-ACME is not offered here
C: e SEARCH NOT X-ODD 1
S: e BAD X-ACME is not offered here
C: f ENABLE X-ACME
S: * ENABLED
S: f OK ENABLE completed
""",
            logged_in=False,
        )


def test_contracts(server: IMAPServer) -> None:
    """The extensions and the session keep to their interfaces."""
    for extension in (Acme(), UnauthenticateExtension(), IMAPExtension()):
        verifyObject(IIMAPExtension, extension)
    conversation = ServerConversation()
    link: Any = IMAPConnection
    state = SessionState(server.services, link, conversation)
    assert IIMAPSession.providedBy(state)
    for name in ("account", "client_id", "mailbox", "read_only", "conversation"):
        assert hasattr(state, name)


class _Other(IMAPExtension):
    capability = "X-OTHER"


@pytest.mark.parametrize(
    "added",
    [
        {"grammar": Grammar({b"NOOP": Syntax(ANY_STATE, _greet)})},
        {"grammar": Grammar({b"XGREET": Syntax(ANY_STATE, _greet)})},
        {"grammar": Grammar({}, {b"X-WEIGHT": _weight})},
        {"grammar": Grammar({}, {b"BODY.PEEK": _weight})},
        {"grammar": Grammar({}, {b"FAST": _weight})},
        {"grammar": Grammar({}, {}, {b"SUBJECT": _odd})},
        {"grammar": Grammar({}, {}, {b"NOT": _odd})},
        {"grammar": Grammar({}, {}, {b"X-ODD": _odd})},
        {"answers": {Star: _do_star}},
        {"fetch_items": {Weight: FetchedItem((), _weigh)}},
        {"search_keys": {Odd: _find_odd}},
        {"capability": "x-acme"},
        {"capability": ""},
    ],
)
def test_nothing_is_added_twice(added: dict[str, Any]) -> None:
    """What is there stays what it is; whoever wants its place is refused at the start."""
    other = _Other()
    for name, value in added.items():
        setattr(other, name, value)
    with pytest.raises(ConfigurationFault, match="extension"):
        Extensions([Acme(), other])
    Extensions([Acme(), _Other()])
