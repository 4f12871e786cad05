"""The IMAP session: each command to its own module, news before each answer, errors to words.

The shape is `mailplat.net.session.Session`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.logger import Logger

from mailplat.interfaces.net import ILink
from mailplat.model.errors import MailError, NoSuchMailbox
from mailplat.proto.imap.commands.append import Append, AppendData, AppendEnd, AppendNext, Replace
from mailplat.proto.imap.commands.event import Aborted, Command, Event
from mailplat.proto.imap.commands.mailboxes import (
    Check,
    Close,
    Create,
    Delete,
    GetQuota,
    GetQuotaRoot,
    List,
    Lsub,
    Namespace,
    Rename,
    Select,
    SetQuota,
    Status,
    Subscribe,
    Unselect,
    Unsubscribe,
    Xlist,
)
from mailplat.proto.imap.commands.messages import Copy, Expunge, Fetch, Move, Store
from mailplat.proto.imap.commands.searches import Search, SearchRefused, Sort, Thread
from mailplat.proto.imap.commands.session import (
    Authenticate,
    AuthenticateResponse,
    Capability,
    Compress,
    Done,
    Enable,
    Id,
    Idle,
    Login,
    Logout,
    Noop,
    StartTLS,
)
from mailplat.proto.imap.conversation import ServerConversation
from mailplat.proto.imap.view import NoSuchNumber
from mailplat.sessions.imap import (
    append,
    changing,
    fetch,
    listing,
    login,
    mailboxes,
    quota,
    search,
    select,
)
from mailplat.sessions.imap.idle import Idling
from mailplat.sessions.imap.needs import needed_by
from mailplat.sessions.imap.services import IMAPServices
from mailplat.sessions.imap.state import SessionState

__all__ = ["IMAPSession"]

_log = Logger()


class _TryCreate(NoSuchMailbox):
    """The target of APPEND, COPY or MOVE could be made (RFC 9051 §7.1 TRYCREATE)."""

    imap_code = "TRYCREATE"


async def _idle(state: SessionState, command: Idle) -> None:
    await state.tell_news(expunge=True)
    state.idling = Idling(state)
    state.conversation.accept()


async def _done(state: SessionState, event: Done) -> None:
    if state.idling is not None:
        await state.idling.end()
        state.idling = None
    await state.tell_news(expunge=True)
    state.conversation.ok()


_COMMANDS: dict[type[Event], Callable[[SessionState, Any], Awaitable[None]]] = {
    Aborted: append.aborted,
    Append: append.append,
    AppendData: append.append_data,
    AppendEnd: append.append_end,
    AppendNext: append.append_next,
    Authenticate: login.authenticate,
    AuthenticateResponse: login.authenticate_response,
    Capability: login.capability,
    Check: login.noop,
    Close: changing.close,
    Compress: login.compress,
    Copy: changing.copy,
    Create: mailboxes.create,
    Delete: mailboxes.delete,
    Done: _done,
    Enable: login.enable,
    Expunge: changing.expunge,
    Fetch: fetch.fetch,
    GetQuota: quota.get_quota,
    GetQuotaRoot: quota.get_quota_root,
    Id: login.identify,
    Idle: _idle,
    List: listing.list_mailboxes,
    Login: login.login,
    Logout: login.logout,
    Lsub: listing.list_subscribed,
    Move: changing.move,
    Namespace: mailboxes.namespace,
    Noop: login.noop,
    Rename: mailboxes.rename,
    Replace: append.replace,
    Search: search.search,
    SearchRefused: search.refused,
    Select: select.select,
    SetQuota: quota.set_quota,
    Sort: search.sort,
    StartTLS: login.start_tls,
    Status: mailboxes.status,
    Store: changing.store,
    Subscribe: mailboxes.subscribe,
    Thread: search.thread,
    Unselect: changing.unselect,
    Unsubscribe: mailboxes.unsubscribe,
    Xlist: listing.xlist,
}

_INTO_MAILBOX = (
    Append,
    AppendEnd,
    Copy,
    Move,
    Replace,
)


class IMAPSession:
    """One client's session.

    Args:
        services: What all sessions share.
        link: The connection.
        conversation: What is said on it, new.
    """

    def __init__(
        self, services: IMAPServices, link: ILink, conversation: ServerConversation
    ) -> None:
        self._state = SessionState(services, link, conversation)

    async def opened(self) -> None:
        """Greet."""
        login.greet(self._state)

    async def answer(self, event: Event) -> None:
        """Do what is asked; what it comes to is said in the protocol's own words."""
        state = self._state
        extensions = state.services.extensions
        run = _COMMANDS.get(type(event)) or extensions.answers.get(type(event))
        try:
            if run is None:
                state.conversation.bad("Not supported here")
                return
            if state.switched_off and (missing := self._missing(event)):
                append.drop(state)
                state.conversation.bad(f"{missing} is not offered here")
                return
            if isinstance(event, Command):
                await self._before(event)
            await run(state, event)
        except NoSuchNumber:
            state.conversation.bad("No such message")
        except NoSuchMailbox as error:
            if state.selected is not None and await state.selected.is_gone():
                state.say_mailbox_deleted()
                return
            self._refuse(event, _TryCreate() if isinstance(event, _INTO_MAILBOX) else error)
        except MailError as error:
            self._refuse(event, error)

    async def _before(self, command: Command) -> None:
        if command.enables_condstore and not isinstance(command, Select):
            self._state.enable(["CONDSTORE"])
        if not command.tells_itself:
            await self._state.tell_news(expunge=command.tells_expunge)

    def _missing(self, event: Event) -> str:
        """Name a capability that an event makes use of, and that is switched off."""
        needed = needed_by(event, self._state.services.extensions.capability_of)
        return next((name for name in needed if not self._state.offers(name)), "")

    def _refuse(self, event: Event, error: MailError) -> None:
        if error.reason:
            _log.warn(
                "{session} {account} {command}: {reason}",
                session=self._state.link.session_id,
                account=self._state.account.name if self._state.account else "",
                command=type(event).__name__.lower(),
                reason=error.reason,
            )
        self._state.conversation.refuse(error)

    async def closed(self) -> None:
        """The connection is gone: let go of everything."""
        state = self._state
        append.drop(state)
        if state.idling is not None:
            idling, state.idling = state.idling, None
            idling.drop()
        state.log_ins.drop()
        state.log_out()
