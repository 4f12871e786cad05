"""Mail on its way out: ``[queue]``, ``[[agent]]``."""

from __future__ import annotations

import attrs

from mailplat.config.option import option, required
from mailplat.config.values import Duration, PartOptions, PartText, Size, duration, size

__all__ = ["AgentOptions", "QueueOptions"]


@attrs.frozen(kw_only=True)
class QueueOptions:
    """Mail that was accepted and is not yet where it belongs."""

    first_retry: Duration = option(
        duration("5m"),
        least=1,
        meaning="How long after its first attempt a mail is tried again; each later wait is 1.6 "
        "times the one before, give or take a fifth.",
        precedent="Postfix minimal_backoff_time (300 s)",
    )
    longest_retry: Duration = option(
        duration("1h"),
        least=1,
        meaning="The longest wait between two attempts.",
        precedent="Postfix maximal_backoff_time (4000 s)",
    )
    lifetime: Duration = option(
        duration("5d"),
        least=60,
        meaning="How long a mail is tried before its sender is told that it failed.",
        precedent="RFC 5321 §4.5.4.1 (at least 4 to 5 days); Postfix maximal_queue_lifetime",
    )
    warn_after: Duration = option(
        duration("4h"),
        least=60,
        meaning="After which the sender of a mail that waits is warned, once.",
        precedent="Postfix delay_warning_time; Sendmail (4h)",
    )
    attempts: int = option(
        100,
        unit="attempts",
        least=1,
        most=10_000,
        meaning="How many mails are tried at once.",
        precedent="Postfix default_process_limit (100)",
    )
    attempts_by_destination: int = option(
        20,
        unit="attempts",
        least=1,
        most=1000,
        meaning="How many mails are tried at once for one destination that takes them well; one "
        "that does not answer gets fewer, and none for a while.",
        precedent="Postfix default_destination_concurrency_limit (20)",
    )
    recipients_by_attempt: int = option(
        50,
        unit="recipients",
        least=1,
        meaning="How many recipients of a mail are tried together.",
        precedent="Postfix default_destination_recipient_limit (50)",
    )
    inline_size: Size = option(
        size("64KiB"),
        meaning="The largest mail that is kept in the queue's database; a larger one has a file.",
    )
    full_report_size: Size = option(
        size("256KiB"),
        meaning="The largest mail that comes back with a failure report, where its sender asked "
        "for all of it; of others the header does.",
        precedent="RFC 3461 §6.2; Postfix bounce_size_limit (50,000 bytes)",
    )


@attrs.frozen(kw_only=True)
class AgentOptions:
    """A delivery agent: what takes mail from the queue and brings it one step further."""

    use: PartText = required(
        meaning="The agent: a plugin's prefix and arguments.",
        example="folder:/var/spool/archive",
    )
    name: str = option(
        "",
        meaning="What routes and `mailplatctl queue` call it. The one without a name takes all "
        "mail for other servers.",
        example="archive",
    )
    options: PartOptions = option(
        PartOptions(),
        meaning="The agent's own options; which there are, its page tells. They are checked like "
        "all others.",
        example={"timeout": "5s"},
    )
