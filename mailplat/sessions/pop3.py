"""The policy of a POP3 session: who may log in, what the maildrop is, when mail is deleted.

Invariants:

- The password is looked at only after the throttle let it pass, right or wrong.
- One session a maildrop: the lease is held from the login to the end, and is given back on every
  path (RFC 1939 §4).
- The maildrop is what INBOX was at login; nothing that happens there since changes its numbers.
- Mail is deleted by QUIT alone, all of it in one transaction, and only what was marked
  (RFC 1939 §6).
- At most ``read_ahead`` and one block of message bytes are held.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.logger import Logger

from mailplat.interfaces.net import IAccountConnections, ILink, ILoginIntervals
from mailplat.interfaces.store import BodyRange, Column, IHomeLease, IMailbox, IStore
from mailplat.model.account import Account
from mailplat.model.credentials import Credentials
from mailplat.model.errors import Corrupt, Expunged, Unavailable
from mailplat.model.flags import FlagAction
from mailplat.model.mailbox import INBOX
from mailplat.model.numset import NumSet
from mailplat.proto.pop3.dots import LineCounter
from mailplat.proto.pop3.events import Event, Listing, Login, Quit, Retrieve, StartTLS, Top
from mailplat.proto.pop3.maildrop import PLAIN, Maildrop
from mailplat.proto.pop3.server import ServerConversation
from mailplat.sessions.homes import home_of
from mailplat.sessions.login import LogIn, LoginParts

__all__ = ["Pop3Options", "Pop3Session"]


@dataclass(frozen=True, slots=True)
class Pop3Options:
    """What a POP3 session may use.

    Attributes:
        read_ahead: Octets of messages that are read in one go where a client takes one after the
            other; a message above it is streamed.
        block: Octets of one block of a message that is streamed.
        mark_seen: Whether QUIT marks what was retrieved as seen (Dovecot does).
        names: How unique names are made (`mailplat.proto.pop3.maildrop`).
    """

    read_ahead: int = 131072
    block: int = 65536
    mark_seen: bool = True
    names: str = PLAIN


class Pop3Session:
    """One client's session (the shape is `mailplat.net.session.Session`).

    Args:
        conversation: What the client says and is told.
        link: The connection.
        log_ins: Find out whose credentials these are.
        connections: Counts the sessions of each account.
        intervals: Hold an account to LOGIN-DELAY (RFC 2449 §6.5).
        store: Everybody's mail.
        options: Limits.
    """

    log = Logger()

    def __init__(
        self,
        conversation: ServerConversation,
        link: ILink,
        *,
        log_ins: LoginParts,
        connections: IAccountConnections,
        intervals: ILoginIntervals,
        store: IStore,
        options: Pop3Options | None = None,
    ) -> None:
        self._conversation = conversation
        self._link = link
        self._log_ins = LogIn(log_ins, link)
        self._connections = connections
        self._intervals = intervals
        self._store = store
        self._options = options or Pop3Options()
        self._account = ""  # who is counted in
        self._lease: IHomeLease | None = None
        self._mailbox: IMailbox | None = None
        self._maildrop = Maildrop(0, (), ())
        self._ahead: dict[int, bytes] = {}  # whole messages by number, read and not yet asked for
        self._last = 0  # the message retrieved last
        self._retrieved: set[int] = set()  # UIDs

    async def opened(self) -> None:
        """Greet."""
        self._conversation.greet()

    async def answer(self, event: Event) -> None:
        """Do what is asked.

        Raises:
            MailError: It cannot be done; the conversation's `refuse` tells the client.
        """
        match event:
            case Retrieve(number):
                await self._retrieve(number)
            case Top(number, lines):
                await self._top(number, lines)
            case Listing(names):
                await self._list(names)
            case Login(_, credentials):
                await self._log_in(credentials)
            case StartTLS():
                self._conversation.accept_stls()
                self._link.start_tls()
            case Quit():
                await self._quit()

    async def closed(self) -> None:
        """Let go of the maildrop; without QUIT nothing is deleted."""
        self._log_ins.drop()
        self._let_go()

    # -- login

    async def _log_in(self, credentials: Credentials) -> None:
        outcome = await self._log_ins.judge(credentials)
        if not isinstance(outcome, Account):
            self._conversation.continue_login(outcome)
            return
        try:
            self._intervals.check(outcome.name)
            self._connections.enter(outcome.name)
            self._account = outcome.name
            maildrop = await self._open(outcome)
        except BaseException:
            self._let_go()
            raise
        self._maildrop = maildrop
        self._intervals.note(outcome.name)
        self._link.authenticated()
        self.log.info(
            "{session}: {account} logged in from {address}, {count} messages",
            session=self._link.session_id,
            account=outcome.name,
            address=self._link.peer.address,
            count=maildrop.count,
        )
        self._conversation.accept_login(maildrop)

    async def _open(self, account: Account) -> Maildrop:
        """Take the maildrop, and see what is in it."""
        home = await home_of(self._store, account)
        self._lease = await home.lease_maildrop()
        self._mailbox = await home.open_mailbox(INBOX)
        state = await self._mailbox.state(False)
        rows = await self._mailbox.rows(state.uids, (Column.SIZE,))
        names = self._options.names
        return Maildrop(self._mailbox.uid_validity, rows.uids, rows[Column.SIZE], names)

    def _let_go(self) -> None:
        mailbox, self._mailbox = self._mailbox, None
        if mailbox is not None:
            mailbox.close()
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()
        account, self._account = self._account, ""
        if account:
            self._connections.leave(account)
        self._ahead.clear()

    # -- reading

    async def _list(self, names: bool) -> None:
        maildrop, conversation = self._maildrop, self._conversation
        conversation.begin(f"{maildrop.count} messages ({maildrop.octets} octets)")
        for block in maildrop.name_listing() if names else maildrop.size_listing():
            conversation.content(block)
            await self._link.drained()
        conversation.end()

    async def _retrieve(self, number: int) -> None:
        maildrop = self._maildrop
        content = self._ahead.pop(number, None)
        if content is None:
            if maildrop.size(number) > self._options.read_ahead:
                await self._stream(number)
            else:
                content = await self._read(number)
        if content is not None:
            self._conversation.message(content)
        self._last = number
        self._retrieved.add(maildrop.uid(number))

    async def _read(self, number: int) -> bytes:
        """Read a whole message; with those behind it, where the client takes them in order."""
        self._ahead.clear()
        numbers = self._window(number) if number == self._last + 1 else [number]
        try:
            contents = await self._bodies(numbers)
        except (Corrupt, Unavailable):
            if len(numbers) == 1:
                raise
            # one of them is damaged or out of reach; whichever, it spoils only its own answer
            contents = await self._bodies([number])
        for other, content in zip(numbers[1:], contents[1:], strict=False):
            if content is not None:
                self._ahead[other] = content
        if contents[0] is None:
            raise Expunged(f"message {self._maildrop.uid(number)} is gone")
        return contents[0]

    def _window(self, first: int) -> list[int]:
        """Choose the messages that are read together with the first."""
        maildrop, numbers, room = self._maildrop, [first], self._options.read_ahead
        room -= maildrop.size(first)
        for number in range(first + 1, len(maildrop) + 1):
            room -= maildrop.size(number)
            if room < 0:
                break
            if number in maildrop:
                numbers.append(number)
        return numbers

    async def _bodies(self, numbers: list[int]) -> list[bytes | None]:
        mailbox, maildrop = self._opened()
        ranges = [BodyRange(maildrop.uid(n), 0, maildrop.size(n)) for n in numbers]
        return list(await mailbox.bodies(ranges))

    async def _stream(self, number: int) -> None:
        """Answer RETR block by block."""
        size = self._maildrop.size(number)
        block = await self._block(number, 0)
        self._conversation.begin(f"{size} octets")
        position = 0
        while True:
            self._conversation.content(block)
            position += len(block)
            if position >= size:
                break
            await self._link.drained()
            block = await self._block(number, position)
        self._conversation.end()

    async def _block(self, number: int, start: int) -> bytes:
        """Read the next bytes of a message."""
        mailbox, maildrop = self._opened()
        uid, stop = maildrop.uid(number), min(start + self._options.block, maildrop.size(number))
        (block,) = await mailbox.bodies([BodyRange(uid, start, stop)])
        if block is None:
            raise Expunged(f"message {uid} is gone")
        if len(block) != stop - start:
            raise Corrupt(f"message {uid} has fewer bytes than its size says")
        return block

    async def _top(self, number: int, lines: int) -> None:
        """Answer TOP: the header as the store keeps it, then lines of the body."""
        mailbox, maildrop = self._opened()
        uid, size = maildrop.uid(number), maildrop.size(number)
        header = (await mailbox.rows([uid], (Column.HEADER,)))[Column.HEADER]
        if not header:
            raise Expunged(f"message {uid} is gone")
        position, counter = len(header[0]), LineCounter(lines)
        if counter.done or position >= size:
            self._conversation.message(header[0])
            return
        block = await self._block(number, position)
        self._conversation.begin("Top follows")
        self._conversation.content(header[0])
        while True:
            self._conversation.content(counter.take(block))
            position += len(block)
            if counter.done or position >= size:
                break
            await self._link.drained()
            block = await self._block(number, position)
        self._conversation.end()

    def _opened(self) -> tuple[IMailbox, Maildrop]:
        assert self._mailbox is not None
        return self._mailbox, self._maildrop

    # -- the end

    async def _quit(self) -> None:
        """Delete what was marked; then give the maildrop back, and only then say so."""
        mailbox, maildrop = self._opened()
        marked = maildrop.marked()
        try:
            if marked:
                await mailbox.expunge(NumSet.of(marked))
            seen = self._retrieved.difference(marked) if self._options.mark_seen else ()
            if seen:
                await mailbox.store_flags(NumSet.of(seen), FlagAction.ADD, ("\\Seen",), None)
        finally:
            self._let_go()
        self._conversation.bye()
