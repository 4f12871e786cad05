"""Where an IMAP session stands: who it speaks for, and what it has open."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from mailplat.interfaces.net import ILink
from mailplat.interfaces.store import IHome
from mailplat.model.account import Account
from mailplat.model.errors import NotPermitted, Unavailable
from mailplat.proto.imap import responses
from mailplat.proto.imap.conversation import ServerConversation
from mailplat.proto.sasl import Exchange
from mailplat.sessions.imap.appending import Appending
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.services import IMAPServices

__all__ = ["SessionState"]


class _ReadOnly(NotPermitted):
    imap_code = "READ-ONLY"
    public = "The mailbox is open for reading only"


class _Idling(Protocol):
    """What an IDLE is to the rest of the session (`sessions.imap.idle`)."""

    def news(self) -> None:
        """The store has something new."""

    async def end(self) -> None:
        """Stop, once what is being told is told."""

    def drop(self) -> None:
        """Stop at once."""


class SessionState:
    """The state of one session; commands read and change it.

    Attributes:
        services: What all sessions share.
        link: The connection.
        conversation: What is said on it.
        account: Who logged in; None before.
        selected: The open mailbox, if there is one.
        exchange: The running AUTHENTICATE.
        appending: The running APPEND or REPLACE.
        idling: The running IDLE.
        login_failures: How many log-ins failed.
    """

    def __init__(
        self, services: IMAPServices, link: ILink, conversation: ServerConversation
    ) -> None:
        self.services = services
        self.link = link
        self.conversation = conversation
        self.account: Account | None = None
        self.selected: Selected | None = None
        self.exchange: Exchange | None = None
        self.appending: Appending | None = None
        self.idling: _Idling | None = None
        self.login_failures = 0
        self._home: IHome | None = None

    @property
    def home(self) -> IHome:
        """The account's mail; only asked for once somebody logged in."""
        if self._home is None:
            raise Unavailable("no home is open")
        return self._home

    async def log_in(self, account: Account) -> None:
        """Open the account's home; from here on the session speaks for it.

        Raises:
            LimitReached: The account has too many sessions.
        """
        home = await self.services.store.open_home(account.name)
        self.services.logins.enter(account.name)
        self._home, self.account = home, account
        self.conversation.logged_in()
        self.link.authenticated()

    def enabled(self, capability: str) -> bool:
        """Whether the client turned an extension on."""
        return capability in self.conversation.enabled

    @property
    def condstore(self) -> bool:
        """Whether the client is told of MODSEQs (RFC 7162 §3.1, §3.2.3)."""
        return self.enabled("CONDSTORE") or self.enabled("QRESYNC")

    def enable(self, capabilities: Collection[str]) -> None:
        """Turn extensions on, by ENABLE or by the use of them."""
        before = self.condstore
        self.conversation.enable(capabilities)
        if self.selected is None:
            return
        view = self.selected.view
        view.condstore, view.qresync = self.condstore, self.enabled("QRESYNC")
        if view.condstore and not before:
            # RFC 7162 §3.1: the client needs to know where it begins
            code = f"HIGHESTMODSEQ {view.modseq}"
            self.conversation.send(responses.condition("OK", "Highest MODSEQ", code))

    def chosen(self) -> Selected:
        """The open mailbox; the conversation lets no command through that needs one else."""
        if self.selected is None:
            raise Unavailable("no mailbox is open")
        return self.selected

    def writable(self) -> Selected:
        """The open mailbox, if it may be changed.

        Raises:
            NotPermitted: It was opened by EXAMINE.
        """
        selected = self.chosen()
        if selected.read_only:
            raise _ReadOnly
        return selected

    async def tell_news(self, *, expunge: bool) -> None:
        """Tell the client what happened in the open mailbox, as far as it may hear it now."""
        if self.selected is not None:
            news = await self.selected.news(expunge=expunge)
            if news:
                self.conversation.send(news)

    def store_has_news(self) -> None:
        """The open mailbox changed: who idles is told at once, others after their command."""
        if self.idling is not None:
            self.idling.news()

    def log_out(self) -> None:
        """Speak for nobody any more, and let go of what was open."""
        self.close_mailbox()
        if self.account is not None:
            self.services.logins.leave(self.account.name)
            self.account = self._home = None

    def say_mailbox_deleted(self) -> None:
        """Part with a client whose open mailbox another session deleted (RFC 2180 §3.3)."""
        self.conversation.bye("The mailbox was deleted by another session")

    def close_mailbox(self) -> None:
        """Let go of the open mailbox, if there is one."""
        if self.selected is not None:
            self.selected.close()
            self.selected = None
            self.conversation.mailbox_closed()
