"""APPEND and REPLACE: messages into a mailbox (RFC 9051 §6.3.12, RFC 3502, RFC 8508).

Invariants:

- Refused before a byte is read where that can be known: no such mailbox, too big, over quota.
- A block goes into the intake and through the scanner and is then forgotten.
- All messages of a command are stored in one call, or none; until then they are in intakes, and
  every way out closes these.
"""

from __future__ import annotations

from mailplat.interfaces.bodies import IBody, IIntake
from mailplat.interfaces.store import NewMessage
from mailplat.message.scan import Scanner
from mailplat.message.summary import summarize
from mailplat.model.errors import MailError, NoSuchMailbox, OverQuota, TooBig
from mailplat.model.numset import NumSet
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands import (
    Aborted,
    Append,
    AppendData,
    AppendEnd,
    AppendMessage,
    AppendNext,
    Replace,
)
from mailplat.sessions.imap.state import SessionState

__all__ = ["Appending", "aborted", "append", "append_data", "append_end", "append_next", "replace"]


class Appending:
    """The messages of one APPEND or REPLACE on their way in.

    Args:
        mailbox: Where they go.
        replaces: UIDs of messages of the open mailbox that go once the new one is stored.
    """

    def __init__(self, mailbox: str, replaces: NumSet = NumSet()) -> None:
        self.mailbox = mailbox
        self.replaces = replaces
        self.total = 0
        self._done: list[tuple[AppendMessage, IBody, Scanner]] = []
        self._now: tuple[AppendMessage, IIntake, Scanner] | None = None

    def begin(self, state: SessionState, message: AppendMessage) -> None:
        """Make ready for the next message's bytes."""
        self._finish()
        self.total += message.size
        scanner = Scanner(state.services.scan_limits)
        self._now = (message, state.services.intakes.open_intake(), scanner)

    async def write(self, block: bytes) -> None:
        """Take the next bytes of the message."""
        if self._now is None:
            raise RuntimeError("bytes before a message")
        _, intake, scanner = self._now
        scanner.receive(block)
        waiting = intake.write(block)
        if waiting is not None:
            await waiting

    def messages(self, now: int) -> list[NewMessage]:
        """Give all of them, ready for the store; ``now`` is INTERNALDATE where none was said."""
        self._finish()
        return [
            NewMessage(
                body,
                summarize(scanner.close()),
                message.flags,
                now if message.date is None else int(message.date.timestamp()),
            )
            for message, body, scanner in self._done
        ]

    def close(self) -> None:
        """Throw the bytes away."""
        if self._now is not None:
            self._now[1].close()
            self._now = None
        for _, body, _ in self._done:
            body.close()
        self._done.clear()

    def _finish(self) -> None:
        if self._now is not None:
            message, intake, scanner = self._now
            self._now = None
            self._done.append((message, intake.finish(), scanner))


async def append(state: SessionState, command: Append) -> None:
    """APPEND's first message is about to come."""
    await _check_mailbox(state, command.mailbox)
    state.appending = Appending(command.mailbox)
    await _accept(state, state.appending, command.message)


async def replace(state: SessionState, command: Replace) -> None:
    """REPLACE's message is about to come (RFC 8508 §3)."""
    selected = state.writable()
    await _check_mailbox(state, command.mailbox)
    uids = selected.view.resolve_uids(command.numbers, uid=command.uid)
    if not uids:
        state.conversation.no("No such message", "NONEXISTENT")
        return
    state.appending = Appending(command.mailbox, uids)
    await _accept(state, state.appending, command.message)


async def append_next(state: SessionState, event: AppendNext) -> None:
    """A further message of the same APPEND."""
    if state.appending is None:
        raise RuntimeError("a further message without a first")
    await _accept(state, state.appending, event.message)


async def _check_mailbox(state: SessionState, name: str) -> None:
    if not await state.home.status([name]):
        # RFC 9051 §6.3.12: the client may CREATE it and try again
        raise NoSuchMailbox


async def _accept(state: SessionState, appending: Appending, message: AppendMessage) -> None:
    """Take a message on, unless it is known already that it cannot be stored."""
    options = state.services.options
    try:
        if message.size > options.message_size:
            raise TooBig
        if appending.total + message.size > options.append_total:
            raise TooBig(public="Too many bytes in one APPEND")
        limit, usage = await state.home.limit(), await state.home.usage()
        new_size = usage.storage + appending.total + message.size
        if limit.storage is not None and new_size > limit.storage:
            raise OverQuota
        if limit.messages is not None and usage.messages + 1 > limit.messages:
            raise OverQuota
    except MailError:
        drop(state)
        raise
    appending.begin(state, message)
    state.conversation.accept()


async def append_data(state: SessionState, event: AppendData) -> None:
    """A block of the message."""
    if state.appending is not None:
        await state.appending.write(event.data)


async def append_end(state: SessionState, event: AppendEnd) -> None:
    """All is here: store it."""
    appending, home = state.appending, state.home
    if appending is None:
        raise RuntimeError("the end of no APPEND")
    try:
        messages = appending.messages(int(state.services.now()))
        if not messages or any(not message.body.size for message in messages):
            state.conversation.no("APPEND called off")  # RFC 3502 §6.3.11
            return
        appended = await home.append(appending.mailbox, messages)
        code = f"APPENDUID {appended.uid_validity} {NumSet.of(appended.uids)}"
        if state.selected is not None:
            state.selected.changed_here()
        if appending.replaces and state.selected is not None:
            # RFC 8508 §3.3: the old message goes only once the new one is stored
            await state.selected.mailbox.expunge(appending.replaces)
            state.conversation.send(responses.condition("OK", "Replacement stored", code))
            await state.tell_news(expunge=True)
            state.conversation.ok()
            return
        await state.tell_news(expunge=True)
        state.conversation.ok(code=code)
    finally:
        drop(state)


async def aborted(state: SessionState, event: Aborted) -> None:
    """The client broke off; nothing of it was stored."""
    drop(state)
    state.exchange = None


def drop(state: SessionState) -> None:
    """Forget the APPEND that is under way, if there is one."""
    if state.appending is not None:
        state.appending.close()
        state.appending = None
