"""What is counted of one connection, and the goodbye that comes of too much of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailplat.model.envelope import Recipient
from mailplat.model.reply import Reply
from mailplat.proto.smtp import words
from mailplat.proto.smtp.command_fault import CommandFault
from mailplat.proto.smtp.offers import Limits

__all__ = ["Counts"]

_IDLE = frozenset(("EHLO", "HELO", "LHLO", "RSET", "NOOP", "HELP", "VRFY", "EXPN", "AUTH"))


@dataclass(slots=True)
class Counts:
    """Counts what a client does, against its limits.

    Attributes:
        limits: How much is allowed.
        messages: Messages that were accepted.
        errors: Commands refused since the last of them.
        idle: Commands without mail since then.
        login_failures: Log-ins that failed.
        domains: Those of the recipients that were accepted, in lower case.
    """

    limits: Limits
    messages: int = 0
    errors: int = 0
    idle: int = 0
    login_failures: int = 0
    domains: set[str] = field(default_factory=set)

    def command(self, verb: str) -> Reply | None:
        """Count a command; give the goodbye if too many brought no mail."""
        if verb not in _IDLE:
            return None
        self.idle += 1
        return words.TOO_IDLE if self.idle > self.limits.idle_commands else None

    def refusal(self) -> Reply | None:
        """Count a refusal; give the goodbye if there were too many."""
        self.errors += 1
        return words.TOO_MANY_ERRORS if self.errors > self.limits.errors else None

    def failed_login(self) -> Reply | None:
        """Count a log-in that failed; give the goodbye if there were too many."""
        self.login_failures += 1
        return words.TOO_MANY_LOGINS if self.login_failures >= self.limits.login_failures else None

    def message(self) -> None:
        """Count a message that was accepted: the client is of use."""
        self.messages += 1
        self.errors = self.idle = 0

    def recipient(self, recipient: Recipient) -> None:
        """Count a recipient that was accepted."""
        if self.limits.recipient_domains is not None:
            self.domains.add(recipient.address.domain.lower())

    def check_recipient(self, recipient: Recipient, before: int) -> None:
        """See whether one more recipient may come.

        Args:
            recipient: The one.
            before: How many this message has already.

        Raises:
            CommandFault: It may not.
        """
        if before >= self.limits.recipients:  # RFC 5321 §4.5.3.1.10
            raise CommandFault(words.TOO_MANY_RECIPIENTS)
        most, domain = self.limits.recipient_domains, recipient.address.domain.lower()
        if most is not None and len(self.domains) >= most and domain not in self.domains:
            raise CommandFault(words.TOO_MANY_DOMAINS)  # RFC 9422 §4.3
