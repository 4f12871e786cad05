"""All that is tried, by name."""

from __future__ import annotations

from mailplat.testing.fuzzing.addresses import ADDRESSES
from mailplat.testing.fuzzing.imap import IMAP
from mailplat.testing.fuzzing.pop3 import POP3
from mailplat.testing.fuzzing.running import Target
from mailplat.testing.fuzzing.smtp import SMTP
from mailplat.testing.fuzzing.smtp_client import SMTP_CLIENT

__all__ = ["TARGETS"]

TARGETS: dict[str, Target] = {
    "imap": IMAP,
    "pop3": POP3,
    "smtp": SMTP,
    "smtp-client": SMTP_CLIENT,
    "addresses": ADDRESSES,
}
