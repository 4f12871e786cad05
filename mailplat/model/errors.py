"""Errors with a public side and a private one.

A peer is told the class's own words and codes, never `str()` of an exception: the reason
given to the constructor is for the log alone.  Each class says at once how SMTP, IMAP and
POP3 speak of it, so that no session translates errors by hand.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AlreadyExists",
    "AuthenticationFailed",
    "Cannot",
    "ConfigurationFault",
    "Corrupt",
    "Expunged",
    "InUse",
    "LimitReached",
    "Loop",
    "MailError",
    "NoSuchAccount",
    "NoSuchMail",
    "NoSuchMailbox",
    "NotPermitted",
    "OverQuota",
    "StorageFull",
    "TooBig",
    "TooSoon",
    "Unavailable",
]


class MailError(Exception):
    """Something that a caller may expect to go wrong.

    Attributes:
        code: The SMTP reply code (RFC 5321 §4.2).
        status: The enhanced status code (RFC 3463).
        imap_code: The IMAP response code (RFC 9051 §7.1), or ``""``.
        pop3_code: The POP3 response code (RFC 2449 §8, RFC 3206), or ``""``.
        public: The words that a peer may read.
        reason: The words for the log.
    """

    code: ClassVar[int] = 451
    status: ClassVar[str] = "4.3.0"
    imap_code: ClassVar[str] = "SERVERBUG"
    pop3_code: ClassVar[str] = "SYS/TEMP"
    public: str = "Something went wrong here; please try again later"

    def __init__(self, reason: str = "", *, public: str | None = None) -> None:
        super().__init__(reason or public or self.public)
        self.reason = reason
        if public is not None:
            self.public = public


class Unavailable(MailError):
    """The world failed (a database, a disk, a server): the same request may pass later."""

    imap_code = "UNAVAILABLE"
    public = "Temporarily unavailable; please try again later"


class StorageFull(Unavailable):
    """The disk is full: nothing was stored (RFC 3463 X.3.1)."""

    code, status = 452, "4.3.1"
    public = "Insufficient system storage"


class OverQuota(MailError):
    """The account's quota would be passed: nothing was stored (RFC 9208 §4.3.1)."""

    code, status = 452, "4.2.2"
    imap_code = "OVERQUOTA"
    pop3_code = ""
    public = "Mailbox full"


class Loop(MailError):
    """The message was here before, for the same address (RFC 5321 §6.3, RFC 3463 X.4.6)."""

    code, status = 554, "5.4.6"
    imap_code = "CANNOT"
    public = "The message goes round in circles: it was delivered to this address already"


class TooBig(MailError):
    """The message is larger than this server takes (RFC 1870 §6, RFC 7889)."""

    code, status = 552, "5.3.4"
    imap_code = "TOOBIG"
    pop3_code = ""
    public = "Message size exceeds fixed maximum message size"


class LimitReached(MailError):
    """A limit of this server stands in the way (RFC 5530 §3 LIMIT)."""

    code, status = 452, "4.5.3"
    imap_code = "LIMIT"
    public = "A limit of this server is reached"


class TooSoon(MailError):
    """The account logged in too short a time ago (RFC 2449 §8.1.1)."""

    code, status = 454, "4.7.0"
    imap_code = "LIMIT"
    pop3_code = "LOGIN-DELAY"
    public = "The last log-in was too short ago; please wait"


class NoSuchAccount(MailError):
    """Nobody here has that name or address (RFC 3463 X.1.1)."""

    code, status = 550, "5.1.1"
    imap_code = "NONEXISTENT"
    pop3_code = "AUTH"
    public = "No such user here"


class NoSuchMailbox(MailError):
    """The account has no mailbox of that name (RFC 5530 §3 NONEXISTENT)."""

    code, status = 550, "5.1.1"
    imap_code = "NONEXISTENT"
    public = "No such mailbox"


class NoSuchMail(MailError):
    """There is no mail of that queue id (any more)."""

    code, status = 550, "5.3.0"
    imap_code = "NONEXISTENT"
    public = "No such mail"


class AlreadyExists(MailError):
    """There is one of that name already (RFC 5530 §3 ALREADYEXISTS)."""

    code, status = 550, "5.3.0"
    imap_code = "ALREADYEXISTS"
    public = "It exists already"


class Cannot(MailError):
    """The request can never work, whoever asks (RFC 5530 §3 CANNOT)."""

    code, status = 550, "5.3.0"
    imap_code = "CANNOT"
    pop3_code = "SYS/PERM"
    public = "That cannot be done"


class InUse(MailError):
    """Another session holds it (RFC 5530 §3 IN-USE, RFC 2449 §8.1.1)."""

    code, status = 450, "4.2.0"
    imap_code = "INUSE"  # RFC 5530 spells it without a hyphen
    pop3_code = "IN-USE"
    public = "In use by another session"


class Expunged(MailError):
    """The message is gone since (RFC 5530 §3 EXPUNGEISSUED)."""

    imap_code = "EXPUNGEISSUED"
    pop3_code = ""
    public = "The message was removed by another session"


class NotPermitted(MailError):
    """This user may not do that (RFC 5530 §3 NOPERM)."""

    code, status = 550, "5.7.1"
    imap_code = "NOPERM"
    pop3_code = "SYS/PERM"
    public = "Not permitted"


class AuthenticationFailed(MailError):
    """The credentials are wrong; which part of them is not said (RFC 4954 §6)."""

    code, status = 535, "5.7.8"
    imap_code = "AUTHENTICATIONFAILED"
    pop3_code = "AUTH"
    public = "Authentication credentials invalid"


class Corrupt(MailError):
    """Stored data contradicts itself; the reason names the mailbox and the message."""

    imap_code = "CORRUPTION"
    pop3_code = "SYS/PERM"
    public = "A stored message is damaged; the operator was told"


class ConfigurationFault(MailError):
    """The operator's input cannot be used; the reason says where, what, and the remedy."""

    public = "The server is misconfigured"
