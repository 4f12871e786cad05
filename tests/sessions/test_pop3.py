"""Tests for `mailplat.sessions.pop3`: the policy, over a store in memory and without a wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.net import ILink
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import BodyRange, Column, IHome, NewMessage
from mailplat.message.summary import summary_of
from mailplat.model.account import Account
from mailplat.model.credentials import PasswordCredentials
from mailplat.model.errors import (
    AuthenticationFailed,
    Corrupt,
    Expunged,
    MailError,
    Unavailable,
)
from mailplat.model.flags import SEEN
from mailplat.model.numset import NumSet
from mailplat.model.peer import Peer
from mailplat.net.limits import AccountConnections
from mailplat.net.throttle import LoginIntervals, LoginThrottle
from mailplat.proto.pop3.events import Login
from mailplat.proto.pop3.offers import Offers
from mailplat.proto.pop3.server import ServerConversation
from mailplat.sessions.login import LoginParts
from mailplat.sessions.pop3 import Pop3Options, Pop3Session
from mailplat.store.memory.store import MemoryStore
from mailplat.testing.agents import StringBody

ADDRESS = "192.0.2.1"
MESSAGES = [
    b"Subject: one\r\n\r\nfirst\r\n.second\r\nthird\r\n",
    b"Subject: two\r\n\r\n" + b"x" * 3000 + b"\r\n.\r\nend",
    b"Subject: three\r\n\r\nno more\r\n",
]


@implementer(IAccounts)
class OneAccount:
    """Alice, whose password is ``secret``."""

    alice = Account("alice@example.org", ("alice@example.org",))

    def __init__(self) -> None:
        self.asked = 0

    async def open(self) -> None:
        """See `IAccounts.open`."""

    async def close(self) -> None:
        """See `IAccounts.close`."""

    async def check_password(self, name: str, password: str) -> Account:
        """Alice may be called by the alias ``alice``."""
        self.asked += 1
        if name.lower() in ("alice", "alice@example.org") and password == "secret":
            return self.alice
        raise AuthenticationFailed("no")

    async def find_account(self, name: str) -> Account | None:
        """Find Alice."""
        return self.alice if name == self.alice.name else None

    async def find_address(self, address: str) -> Account | None:
        """Find Alice."""
        return self.alice if address in self.alice.addresses else None

    async def list_accounts(self) -> Sequence[Account]:
        """List Alice."""
        return (self.alice,)


@implementer(ILink)
class FakeLink:
    """Counts what a session asks of its connection."""

    session_id = "s1"
    peer = Peer(ADDRESS, 1, "198.51.100.1", 110)

    def __init__(self, conversation: ServerConversation) -> None:
        self._conversation = conversation
        self.blocks: list[bytes] = []
        self.tls = self.trusted = False

    def flush(self) -> None:
        """POP3 never speaks unasked."""

    async def drained(self) -> None:
        """Take the block."""
        self.blocks.append(self._conversation.bytes_to_send())

    async def write(self, data: bytes) -> None:
        """Nothing is written past the conversation."""

    def start_tls(self) -> None:
        """Note it."""
        self.tls = True

    def authenticated(self) -> None:
        """Note it."""
        self.trusted = True

    def speak_for(self, peer: Peer) -> bool:
        """POP3 has no command for it: the PROXY header comes before the session."""
        return False

    def close(self) -> None:
        """The conversation says when."""

    def abort(self) -> None:
        """The connection does it by itself."""


class Room:
    """A store with Alice's mail in it, and whatever sessions a test opens."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.store = MemoryStore(StoreSettings(self.clock, ""))
        self.accounts = OneAccount()
        self.throttle = LoginThrottle(self.clock)
        self.connections = AccountConnections(2)
        self.intervals = LoginIntervals(self.clock, 0)

    async def fill(self, messages: Sequence[bytes] = MESSAGES) -> IHome:
        """Put messages into Alice's INBOX."""
        home = await self.store.open_home("alice@example.org")
        new = [NewMessage(StringBody(m), summary_of(m), frozenset(), 1) for m in messages]
        await home.append("INBOX", new)
        return home

    async def uids(self) -> list[int]:
        """Tell what is in Alice's INBOX."""
        home = await self.store.open_home("alice@example.org")
        mailbox = await home.open_mailbox("INBOX")
        state = await mailbox.state(False)
        mailbox.close()
        return list(state.uids)

    def client(self, **options: Any) -> Client:
        """Connect."""
        return Client(self, Pop3Options(**options))


class Client:
    """One client, and the session it speaks to."""

    def __init__(self, room: Room, options: Pop3Options) -> None:
        self.conversation = ServerConversation(Offers("h", stls=True, clear_passwords=True))
        self.link = FakeLink(self.conversation)
        self.session = Pop3Session(
            self.conversation,
            self.link,
            log_ins=LoginParts(room.accounts, room.throttle),
            connections=room.connections,
            intervals=room.intervals,
            store=room.store,
            options=options,
        )

    async def say(self, data: bytes) -> bytes:
        """Say something; give all that is answered."""
        self.conversation.receive(data)
        while (event := self.conversation.next_event()) is not None:
            try:
                await self.session.answer(event)
            except MailError as error:
                self.conversation.refuse(error)
        blocks, self.link.blocks = self.link.blocks, []
        return b"".join(blocks) + self.conversation.bytes_to_send()

    async def log_in(self) -> Client:
        """Log in as Alice."""
        answer = await self.say(b"USER alice\r\nPASS secret\r\n")
        assert answer.startswith(b"+OK Send PASS\r\n+OK "), answer
        return self


@pytest.fixture
def room() -> Room:
    """A store without mail."""
    return Room()


def wire(message: bytes) -> bytes:
    """A message as RETR gives it."""
    end = b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n"
    return b"+OK %d octets\r\n" % len(message) + message.replace(b"\r\n.", b"\r\n..") + end


@pytest_twisted.ensureDeferred
async def test_greets_and_logs_in(room: Room) -> None:
    """A login opens the maildrop, and lifts the time to log in."""
    await room.fill()
    client = room.client()
    await client.session.opened()
    assert client.conversation.bytes_to_send() == b"+OK h ready\r\n"
    assert (await client.say(b"STLS\r\n")).startswith(b"+OK ")
    assert client.link.tls
    client.conversation.tls_started()
    await client.log_in()
    assert client.link.trusted
    octets = sum(map(len, MESSAGES))
    assert await client.say(b"STAT\r\n") == b"+OK 3 %d\r\n" % octets
    validity, _, uid = (await client.say(b"UIDL 1\r\n")).split()[2].partition(b".")
    assert int(validity) >= 1_700_000_000
    assert int(uid) == (await room.uids())[0]
    await client.session.closed()


@pytest_twisted.ensureDeferred
async def test_wrong_passwords_wait(room: Room) -> None:
    """Behind a wrong password the next one waits before anybody looks at it."""
    await room.fill()
    client = room.client()
    assert b"-ERR [AUTH] " in await client.say(b"USER alice\r\nPASS guess\r\n")
    assert room.accounts.asked == 1
    waiting = Deferred.fromCoroutine(client.say(b"USER alice\r\nPASS secret\r\n"))
    assert room.accounts.asked == 1
    room.clock.advance(2)
    assert (await waiting).count(b"+OK") == 2
    assert room.throttle.delay(ADDRESS) == 0
    await client.session.closed()


@pytest_twisted.ensureDeferred
async def test_nobody_acts_for_another(room: Room) -> None:
    """An authorization identity has to be one's own (RFC 4616 §2)."""
    await room.fill()
    for authzid, allowed in (("alice", True), ("ALICE@example.org", True), ("bob", False)):
        client = room.client()
        login = Login("PLAIN", PasswordCredentials("alice", "secret", authzid))
        if allowed:
            await client.session.answer(login)
        else:
            with pytest.raises(AuthenticationFailed):
                await client.session.answer(login)
        await client.session.closed()


@pytest_twisted.ensureDeferred
async def test_log_ins_too_soon(room: Room) -> None:
    """Who comes back before LOGIN-DELAY is told so; only log-ins that went well count."""
    await room.fill()
    room.intervals = LoginIntervals(room.clock, 60)
    first, second = await room.client().log_in(), room.client()
    assert b"+OK Bye" in await first.say(b"QUIT\r\n")
    for _ in range(2):
        assert b"-ERR [LOGIN-DELAY] " in await second.say(b"USER alice\r\nPASS secret\r\n")
    room.clock.advance(60)
    await second.log_in()
    await second.session.closed()


@pytest_twisted.ensureDeferred
async def test_connections_of_an_account_are_counted(room: Room) -> None:
    """POP3's sessions count among those of all protocols, and are given back."""
    await room.fill()
    room.connections = AccountConnections(1)
    room.connections.enter("alice@example.org")
    client = room.client()
    answer = await client.say(b"USER alice\r\nPASS secret\r\n")
    assert b"-ERR [SYS/TEMP] Too many connections" in answer
    room.connections.leave("alice@example.org")
    await client.log_in()
    await client.session.closed()
    await client.session.closed()
    room.connections.enter("alice@example.org")


@pytest_twisted.ensureDeferred
async def test_one_session_a_maildrop(room: Room) -> None:
    """A second login is told that the maildrop is in use, until the first one ends."""
    await room.fill()
    first, second = await room.client().log_in(), room.client()
    assert b"-ERR [IN-USE] " in await second.say(b"USER alice\r\nPASS secret\r\n")
    await first.session.closed()
    await second.log_in()
    assert await second.say(b"QUIT\r\n") == b"+OK Bye\r\n"
    third = await room.client().log_in()  # QUIT's answer means that the maildrop is free
    await third.session.closed()
    await third.session.closed()


@pytest_twisted.ensureDeferred
async def test_a_failed_login_frees_the_maildrop(room: Room) -> None:
    """Whatever fails behind the lease gives it back."""
    home = await room.fill()
    open_mailbox = home.open_mailbox

    async def failing(name: str) -> Any:
        raise Unavailable("no database")

    client = room.client()
    home.open_mailbox = failing  # type: ignore[method-assign]
    assert b"-ERR [SYS/TEMP] " in await client.say(b"USER alice\r\nPASS secret\r\n")
    home.open_mailbox = open_mailbox  # type: ignore[method-assign]
    await client.log_in()
    await client.session.closed()


@pytest_twisted.ensureDeferred
async def test_a_login_that_is_cancelled_frees_the_maildrop(room: Room) -> None:
    """A client that leaves during its login leaves no lock behind."""
    home = await room.fill()
    open_mailbox = home.open_mailbox

    async def hanging(name: str) -> Any:
        await Deferred()

    client = room.client()
    home.open_mailbox = hanging  # type: ignore[method-assign]
    login = Deferred.fromCoroutine(client.say(b"USER alice\r\nPASS secret\r\n"))
    login.cancel()
    with pytest.raises(CancelledError):
        await login
    await client.session.closed()
    home.open_mailbox = open_mailbox  # type: ignore[method-assign]
    other = await room.client().log_in()
    await other.session.closed()


@pytest.mark.parametrize("read_ahead", [0, 20, 3000, 131072])
@pytest.mark.parametrize("block", [1, 7, 65536])
@pytest_twisted.ensureDeferred
async def test_retrieves(room: Room, read_ahead: int, block: int) -> None:
    """Messages come out byte for byte, read ahead or streamed in blocks of any size."""
    await room.fill()
    client = await room.client(read_ahead=read_ahead, block=block).log_in()
    assert await client.say(b"RETR 1\r\nRETR 2\r\nRETR 3\r\n") == b"".join(map(wire, MESSAGES))
    assert await client.say(b"RETR 2\r\nRETR 1\r\n") == wire(MESSAGES[1]) + wire(MESSAGES[0])
    await client.session.closed()


@pytest_twisted.ensureDeferred
async def test_reads_ahead_in_one_call(room: Room) -> None:
    """Messages taken in order are read together; those marked or beyond the limit are not."""
    home = await room.fill([b"Subject: %d\r\n\r\n%s\r\n" % (n, b"y" * 100) for n in range(20)])
    asked: list[list[int]] = []
    client = await room.client(read_ahead=1000).log_in()
    mailbox: Any = client.session._mailbox
    bodies = mailbox.bodies

    async def counted(ranges: Sequence[BodyRange]) -> Sequence[bytes | None]:
        asked.append([one.uid for one in ranges])
        found: Sequence[bytes | None] = await bodies(ranges)
        return found

    mailbox.bodies = counted
    await client.say(b"DELE 3\r\n")
    await client.say(b"RETR 1\r\nRETR 2\r\nRETR 4\r\n")
    assert [len(uids) for uids in asked] == [7]
    assert 3 not in asked[0]
    for n in range(5, 21):
        assert b"Subject: %d\r\n" % (n - 1) in await client.say(b"RETR %d\r\n" % n)
    assert [len(uids) for uids in asked] == [7, 8, 4]
    await client.say(b"RETR 1\r\n")  # out of order: nobody knows what comes next
    assert asked[-1] == [1]
    await client.session.closed()
    assert home.account == "alice@example.org"


@pytest.mark.parametrize(
    ("error", "code"), [(Corrupt("checksum"), b"SYS/PERM"), (Unavailable("down"), b"SYS/TEMP")]
)
@pytest_twisted.ensureDeferred
async def test_damage_spoils_one_answer(room: Room, error: Exception, code: bytes) -> None:
    """Of messages read together a damaged one fails alone; one that is gone is said to be."""
    await room.fill()
    client = await room.client().log_in()
    mailbox: Any = client.session._mailbox
    bodies = mailbox.bodies
    bad = (await room.uids())[1]

    async def damaged(ranges: Sequence[BodyRange]) -> Sequence[bytes | None]:
        if any(one.uid == bad for one in ranges):
            raise error
        found: Sequence[bytes | None] = await bodies(ranges)
        return found

    mailbox.bodies = damaged
    assert await client.say(b"RETR 1\r\n") == wire(MESSAGES[0])
    assert (await client.say(b"RETR 2\r\n")).startswith(b"-ERR [" + code + b"] ")
    assert await client.say(b"RETR 3\r\n") == wire(MESSAGES[2])

    async def gone(ranges: Sequence[BodyRange]) -> Sequence[bytes | None]:
        return [None] * len(ranges)

    mailbox.bodies = gone
    assert (await client.say(b"RETR 1\r\n")).startswith(b"-ERR The message was removed")
    assert (await client.say(b"TOP 1 1\r\n")).startswith(b"-ERR The message was removed")
    await client.session.closed()


@pytest_twisted.ensureDeferred
async def test_damage_in_the_middle_ends_the_answer(room: Room) -> None:
    """A stream that breaks leaves the answer open: the connection has to end, not the answer."""
    await room.fill()
    client = await room.client(read_ahead=10, block=1000).log_in()
    mailbox: Any = client.session._mailbox
    bodies = mailbox.bodies
    for broken, error in ((None, Expunged), (b"short", Corrupt)):

        async def breaking(
            ranges: Sequence[BodyRange], block: bytes | None = broken
        ) -> Sequence[bytes | None]:
            found: Sequence[bytes | None] = await bodies(ranges)
            return found if ranges[0].start < 2000 else [block]

        mailbox.bodies = breaking
        client.conversation.receive(b"RETR 2\r\n")
        event = client.conversation.next_event()
        assert event is not None
        with pytest.raises(error):
            await client.session.answer(event)
        assert client.conversation.midway
        assert len(client.link.blocks) == 2
        client.link.blocks.clear()
        client.conversation.end()
        client.conversation.bytes_to_send()
    await client.session.closed()


@pytest.mark.parametrize("block", [1, 3, 65536])
@pytest_twisted.ensureDeferred
async def test_top(room: Room, block: int) -> None:
    """TOP gives the header, the empty line, and so many lines of the body."""
    await room.fill([*MESSAGES, b"Subject: header alone\r\n\r\n"])
    client = await room.client(block=block).log_in()
    for lines, body in [
        (0, b""),
        (1, b"first\r\n"),
        (2, b"first\r\n..second\r\n"),
        (3, b"first\r\n..second\r\nthird\r\n"),
        (100, b"first\r\n..second\r\nthird\r\n"),
    ]:
        answer = await client.say(b"TOP 1 %d\r\n" % lines)
        _, _, content = answer.partition(b"\r\n")
        assert content == b"Subject: one\r\n\r\n" + body + b".\r\n", lines
    answer = await client.say(b"TOP 4 5\r\n")
    assert answer.endswith(b"\r\nSubject: header alone\r\n\r\n.\r\n")
    await client.session.closed()


@pytest_twisted.ensureDeferred
async def test_lists(room: Room) -> None:
    """LIST and UIDL tell sizes and stable names of all that are not marked."""
    await room.fill()
    client = await room.client().log_in()
    sizes = b"".join(b"%d %d\r\n" % (n, len(m)) for n, m in enumerate(MESSAGES, 1))
    assert (await client.say(b"LIST\r\n")).partition(b"\r\n")[2] == sizes + b".\r\n"
    names = (await client.say(b"UIDL\r\n")).splitlines()[1:-1]
    await client.say(b"DELE 2\r\n")
    assert (await client.say(b"UIDL\r\n")).splitlines()[1:-1] == [names[0], names[2]]
    await client.say(b"QUIT\r\n")
    client = await room.client().log_in()
    again = [line.split()[1] for line in (await client.say(b"UIDL\r\n")).splitlines()[1:-1]]
    assert again == [names[0].split()[1], names[2].split()[1]]
    await client.session.closed()


@pytest_twisted.ensureDeferred
async def test_the_maildrop_is_a_snapshot(room: Room) -> None:
    """What comes or goes meanwhile changes nothing in this session (RFC 1939 §4)."""
    home = await room.fill()
    client = await room.client().log_in()
    before = await client.say(b"LIST\r\n")
    mailbox = await home.open_mailbox("INBOX")
    await mailbox.expunge(NumSet.of([(await room.uids())[1]]))
    await room.fill([b"Subject: new\r\n\r\n"])
    assert await client.say(b"LIST\r\n") == before
    assert await client.say(b"RETR 2\r\n") == wire(MESSAGES[1])
    assert await client.say(b"DELE 2\r\nQUIT\r\n") == b"+OK Marked for deletion\r\n+OK Bye\r\n"
    mailbox.close()
    assert len(await room.uids()) == 3


@pytest_twisted.ensureDeferred
async def test_only_quit_deletes(room: Room) -> None:
    """Marks are forgotten without QUIT and by RSET; QUIT deletes what is marked and no more."""
    await room.fill()
    uids = await room.uids()
    client = await room.client().log_in()
    await client.say(b"DELE 1\r\nDELE 2\r\n")
    await client.session.closed()
    assert await room.uids() == uids
    client = await room.client().log_in()
    await client.say(b"DELE 1\r\nDELE 3\r\nRSET\r\nDELE 2\r\n")
    assert await room.uids() == uids
    assert await client.say(b"QUIT\r\n") == b"+OK Bye\r\n"
    assert client.conversation.closing
    assert await room.uids() == [uids[0], uids[2]]
    await client.session.closed()


@pytest_twisted.ensureDeferred
async def test_quit_that_fails_says_so(room: Room) -> None:
    """Where deleting fails the client reads it, and the maildrop is free all the same."""
    await room.fill()
    client = await room.client().log_in()

    async def failing(uids: NumSet) -> NumSet:
        raise Unavailable("the disk")

    mailbox: Any = client.session._mailbox
    mailbox.expunge = failing
    answer = await client.say(b"DELE 1\r\nQUIT\r\n")
    assert answer.splitlines()[1].startswith(b"-ERR [SYS/TEMP] Some deleted messages not removed")
    assert client.conversation.closing
    assert len(await room.uids()) == 3
    other = await room.client().log_in()
    await other.session.closed()


@pytest.mark.parametrize(("mark_seen", "seen"), [(True, [1]), (False, [])])
@pytest_twisted.ensureDeferred
async def test_what_was_retrieved_is_seen(room: Room, mark_seen: bool, seen: list[int]) -> None:
    """QUIT marks as seen what was retrieved, where that is wished for."""
    home = await room.fill()
    client = await room.client(mark_seen=mark_seen).log_in()
    await client.say(b"RETR 1\r\nRETR 2\r\nTOP 3 1\r\nDELE 2\r\nQUIT\r\n")
    mailbox = await home.open_mailbox("INBOX")
    rows = await mailbox.rows(await room.uids(), (Column.FLAGS,))
    assert [n for n, mask in zip((1, 3), rows[Column.FLAGS], strict=True) if mask & SEEN] == seen
    mailbox.close()
