"""What every IMAP session of a listener shares: the parts it speaks to, and what it may offer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime

from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.bodies import IIntakes
from mailplat.interfaces.net import IAccountConnections
from mailplat.interfaces.store import IStore
from mailplat.message.scan import ScanLimits
from mailplat.model.peer import Peer
from mailplat.proto.sasl.exchange import Mechanisms
from mailplat.sessions.imap.extending import Extensions
from mailplat.sessions.imap.switches import ClientRule
from mailplat.sessions.login import LoginParts

__all__ = ["IMAPOptions", "IMAPServices"]


@dataclass(frozen=True, slots=True)
class IMAPOptions:
    """What the operator says about a listener.

    Attributes:
        auth_needs_tls: Refuse log-ins in clear (RFC 9051 §11.1: PRIVACYREQUIRED).
        offers_tls: Whether STARTTLS can be done on this listener.
        login_failures: Log-ins that may fail before the connection is closed.
        message_size: Bytes of one appended message (RFC 7889 APPENDLIMIT).
        append_total: Bytes of all messages of one APPEND.
        idle_interval: Seconds between signs of life in IDLE.
        block_rows: Messages whose data are worked on at once.
        block_bytes: Bytes of bodies that are read at once.
        disabled: Capabilities that are not offered (`switches.switches`).
        clients: What kinds of clients are not offered besides; all that match count.
        server_id: What ID says of the server, in order (RFC 2971 §3.3).
    """

    auth_needs_tls: bool = True
    offers_tls: bool = True
    login_failures: int = 3
    message_size: int = 50 * 1024 * 1024
    append_total: int = 100 * 1024 * 1024
    idle_interval: float = 120.0
    block_rows: int = 2000
    block_bytes: int = 1024 * 1024
    disabled: frozenset[str] = frozenset()
    clients: tuple[ClientRule, ...] = ()
    server_id: tuple[tuple[str, str], ...] = (("name", "mailplat"),)


@dataclass(frozen=True, slots=True)
class IMAPServices:
    """What a session needs from the rest of the house.

    Attributes:
        accounts: Who may log in.
        store: Everybody's mail.
        intakes: Take the bytes of appended messages.
        logins: Counts the sessions of each account.
        log_ins: Find out whose credentials these are.
        mechanisms: Tells the SASL mechanisms that are offered to whom, where log-in is allowed.
        clock: For IDLE and for waiting.
        now: The time, seconds since 1970 UTC.
        scan_limits: How far a message is taken apart.
        options: What the operator says.
        extensions: What plugins add.
    """

    accounts: IAccounts
    store: IStore
    intakes: IIntakes
    logins: IAccountConnections
    log_ins: LoginParts
    mechanisms: Callable[[Peer], Mechanisms]
    clock: IReactorTime
    now: Callable[[], float]
    scan_limits: ScanLimits
    options: IMAPOptions
    extensions: Extensions = field(default_factory=Extensions)
