"""The IMAP session: each command to its own module, news before each answer, errors to words.

The shape is `mailplat.net.session.Session`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.logger import Logger

from mailplat.interfaces.net import ILink
from mailplat.model.errors import MailError, NoSuchMailbox
from mailplat.proto.imap import commands
from mailplat.proto.imap.commands import Command, Event
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
from mailplat.sessions.imap.services import IMAPServices
from mailplat.sessions.imap.state import SessionState

__all__ = ["IMAPSession"]

_log = Logger()


class _TryCreate(NoSuchMailbox):
    """The target of APPEND, COPY or MOVE could be made (RFC 9051 §7.1 TRYCREATE)."""

    imap_code = "TRYCREATE"


async def _idle(state: SessionState, command: commands.Idle) -> None:
    await state.tell_news(expunge=True)
    state.idling = Idling(state)
    state.conversation.accept()


async def _done(state: SessionState, event: commands.Done) -> None:
    if state.idling is not None:
        await state.idling.end()
        state.idling = None
    await state.tell_news(expunge=True)
    state.conversation.ok()


_COMMANDS: dict[type[Event], Callable[[SessionState, Any], Awaitable[None]]] = {
    commands.Aborted: append.aborted,
    commands.Append: append.append,
    commands.AppendData: append.append_data,
    commands.AppendEnd: append.append_end,
    commands.AppendNext: append.append_next,
    commands.Authenticate: login.authenticate,
    commands.AuthenticateResponse: login.authenticate_response,
    commands.Capability: login.capability,
    commands.Check: login.noop,
    commands.Close: changing.close,
    commands.Compress: login.compress,
    commands.Copy: changing.copy,
    commands.Create: mailboxes.create,
    commands.Delete: mailboxes.delete,
    commands.Done: _done,
    commands.Enable: login.enable,
    commands.Expunge: changing.expunge,
    commands.Fetch: fetch.fetch,
    commands.GetQuota: quota.get_quota,
    commands.GetQuotaRoot: quota.get_quota_root,
    commands.Id: login.identify,
    commands.Idle: _idle,
    commands.List: listing.list_mailboxes,
    commands.Login: login.login,
    commands.Logout: login.logout,
    commands.Lsub: listing.list_subscribed,
    commands.Move: changing.move,
    commands.Namespace: mailboxes.namespace,
    commands.Noop: login.noop,
    commands.Rename: mailboxes.rename,
    commands.Replace: append.replace,
    commands.Search: search.search,
    commands.Select: select.select,
    commands.SetQuota: quota.set_quota,
    commands.Sort: search.sort,
    commands.StartTLS: login.start_tls,
    commands.Status: mailboxes.status,
    commands.Store: changing.store,
    commands.Subscribe: mailboxes.subscribe,
    commands.Thread: search.thread,
    commands.Unauthenticate: login.unauthenticate,
    commands.Unselect: changing.unselect,
    commands.Unsubscribe: mailboxes.unsubscribe,
    commands.Xlist: listing.xlist,
}

_INTO_MAILBOX = (
    commands.Append,
    commands.AppendEnd,
    commands.Copy,
    commands.Move,
    commands.Replace,
)

_TELLS_ITSELF = (
    commands.Close,
    commands.Copy,
    commands.Expunge,
    commands.Fetch,
    commands.Logout,
    commands.Move,
    commands.Replace,
    commands.Search,
    commands.Select,
    commands.Sort,
    commands.Store,
    commands.Thread,
    commands.Unselect,
)
"""Commands that count on sequence numbers, or close the mailbox: they tell news when it is time."""


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
        run = _COMMANDS.get(type(event))
        try:
            if run is None:
                state.conversation.bad("Not supported here")
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
        if command.enables_condstore and not isinstance(command, commands.Select):
            self._state.enable(["CONDSTORE"])
        if not isinstance(command, _TELLS_ITSELF):
            await self._state.tell_news(expunge=command.tells_expunge)

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
        state.log_out()
