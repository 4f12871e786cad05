"""Where an IMAP session stands: who it speaks for, and what it has open."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from zope.interface import implementer

from mailplat.interfaces.imap_extensions import IIMAPSession
from mailplat.interfaces.net import ILink
from mailplat.interfaces.store import IHome, IMailbox
from mailplat.model.account import Account
from mailplat.model.errors import NotPermitted, Unavailable
from mailplat.model.numset import NumSet
from mailplat.proto.imap import responses
from mailplat.proto.imap.conversation import ServerConversation
from mailplat.proto.sasl.exchange import Exchange, Mechanisms
from mailplat.sessions.homes import home_of
from mailplat.sessions.imap.appending import Appending
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.services import IMAPServices
from mailplat.sessions.imap.switches import switches_of_account
from mailplat.sessions.login import LogIn

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


@implementer(IIMAPSession)
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
        log_ins: Finds out whose credentials these are.
        login_failures: How many log-ins failed.
        client_id: What the client said of itself, by names in lower case.
        switched_off: Capabilities that this client is not offered, in capitals.
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
        self.log_ins = LogIn(services.log_ins, link)
        self.login_failures = 0
        self.client_id: Mapping[str, str] = {}
        self.switched_off: frozenset[str] = frozenset()
        self._home: IHome | None = None
        self._switch()

    @property
    def mechanisms(self) -> Mechanisms:
        """What AUTHENTICATE takes on this connection, as things stand."""
        return self.services.mechanisms(self.link.peer)

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
        home = await home_of(self.services.store, account)
        self.services.logins.enter(account.name)
        self._home, self.account = home, account
        self._switch()
        self.conversation.logged_in()
        self.link.authenticated()

    def client_said(self, client_id: Mapping[str, str]) -> None:
        """Take what the client says of itself; from here on it is what it says."""
        self.client_id = client_id
        self._switch()

    def _switch(self) -> None:
        """Work out again what this client is offered."""
        options = self.services.options
        off = options.disabled | switches_of_account(self.account)
        for rule in options.clients:
            if rule.matches(self.client_id):
                off |= rule.disabled
        self.switched_off = off
        literals = None
        if "LITERAL+" in off:
            literals = 0 if "LITERAL-" in off else 4096  # RFC 7888 §5
        self.conversation.limit_literals(literals)

    def offers(self, capability: str) -> bool:
        """Whether a capability is not switched off for this client; its name in capitals."""
        return capability not in self.switched_off

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

    @property
    def mailbox(self) -> IMailbox | None:
        """The open mailbox, if there is one; for extensions."""
        return None if self.selected is None else self.selected.mailbox

    @property
    def read_only(self) -> bool:
        """Whether the open mailbox may not be changed; for extensions."""
        return self.selected is not None and self.selected.read_only

    def uids_of(self, numbers: Any, *, uid: bool) -> NumSet:
        """Give the UIDs that a sequence set stands for; for extensions."""
        return self.chosen().view.resolve_uids(numbers, uid=uid)

    def changed(self) -> None:
        """The open mailbox was changed by an extension."""
        self.chosen().changed_here()

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
            self._switch()
        self.conversation.logged_out()

    def say_mailbox_deleted(self) -> None:
        """Part with a client whose open mailbox another session deleted (RFC 2180 §3.3)."""
        self.conversation.bye("The mailbox was deleted by another session")

    def close_mailbox(self) -> None:
        """Let go of the open mailbox, if there is one."""
        if self.selected is not None:
            self.selected.close()
            self.selected = None
            self.conversation.mailbox_closed()
