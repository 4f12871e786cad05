"""Filters: what all of them share, ``[filtering]``, and each of them, ``[[filter]]``."""

from __future__ import annotations

from enum import StrEnum

import attrs

from mailplat.config.option import option, required
from mailplat.config.values import Domain, Duration, PartOptions, PartText, Size, duration, size

__all__ = ["Direction", "ErrorAction", "FilterOptions", "FilteringOptions", "VerdictAction"]


class ErrorAction(StrEnum):
    """What becomes of mail whose filter failed."""

    DEFER = "defer"
    ACCEPT = "accept"
    REJECT = "reject"
    HOLD = "hold"
    QUARANTINE = "quarantine"


class VerdictAction(StrEnum):
    """What becomes of mail in place of what a filter said."""

    CONTINUE = "continue"
    ACCEPT = "accept"
    QUARANTINE = "quarantine"
    HOLD = "hold"
    DISCARD = "discard"
    DEFER = "defer"
    REJECT = "reject"


class Direction(StrEnum):
    """Where mail goes."""

    LOCAL = "local"
    RELAY = "relay"


@attrs.frozen(kw_only=True)
class FilteringOptions:
    """What all filters share."""

    threads: int = option(
        10,
        unit="threads",
        least=1,
        most=1000,
        meaning="How many questions to filters that block are under way at once.",
        precedent="Twisted suggestThreadPoolSize (10)",
    )
    abandoned_threads: int = option(
        20,
        unit="threads",
        least=0,
        most=1000,
        meaning="How many threads may take the place of those whose filter did not return in time. "
        "Beyond that no such filter is asked, and its `on_error` counts.",
    )
    waiting_questions: int = option(
        1000,
        unit="questions",
        least=1,
        meaning="How many questions may wait for a thread.",
    )
    stall_notice: Duration = option(
        duration("2s"),
        least=0,
        meaning="How long the server may be held up by one piece of code, such as a filter that "
        "blocks without saying so, before the log says where. 0 is for never.",
        precedent="asyncio slow_callback_duration (100 ms)",
    )


@attrs.frozen(kw_only=True)
class FilterOptions:
    """A filter. They are asked in the order of these tables."""

    use: PartText = required(
        meaning="The filter: a plugin's prefix and argument.",
        example="senders:bad@example.org,example.net",
    )
    name: str = option(
        "",
        meaning="What the log and header fields call it. Empty takes the prefix.",
        example="blocked-senders",
    )
    listeners: tuple[str, ...] = option(
        (),
        meaning="The names of the listeners whose mail it sees. Empty is for every one.",
        example=("smtp",),
    )
    timeout: Duration = option(
        duration("30s"), least=0.01, meaning="How long one question to it may take."
    )
    on_error: ErrorAction = option(
        ErrorAction.DEFER,
        meaning="What becomes of mail when it fails or takes too long; accept leaves it to the "
        "other filters.",
        precedent="milter_default_action of Postfix (tempfail)",
    )
    max_failures: int = option(
        10,
        unit="failures",
        least=0,
        meaning="After how many failures in a row it is left alone for a while: `on_error` counts "
        "at once. 0 is for never.",
        precedent="Envoy outlier_detection.consecutive_5xx (5)",
    )
    rest: Duration = option(
        duration("30s"),
        least=0.01,
        meaning="How long it is left alone then. After that one question tries whether it answers "
        "again.",
        precedent="Envoy outlier_detection.base_ejection_time (30 s)",
    )
    max_changes: int = option(
        100,
        unit="changes",
        least=0,
        meaning="How many changes one of its verdicts may ask for.",
    )
    max_header: Size = option(
        size("64KiB"),
        least=0,
        meaning="How much one of its verdicts may add to the header. A body that it gives may be "
        "as large as a message (`message.max_size`).",
        precedent="Postfix header_size_limit (102400)",
    )
    on_accept: VerdictAction | None = option(
        None,
        meaning="What its accept means: continue, say, so that the filters behind it are asked.",
        example="continue",
    )
    on_quarantine: VerdictAction | None = option(
        None, meaning="What its quarantine means.", example="hold"
    )
    on_hold: VerdictAction | None = option(
        None, meaning="What its hold means.", example="quarantine"
    )
    on_discard: VerdictAction | None = option(
        None, meaning="What its discard means.", example="quarantine"
    )
    on_defer: VerdictAction | None = option(
        None, meaning="What its defer means.", example="continue"
    )
    on_reject: VerdictAction | None = option(
        None,
        meaning="What its reject means.",
        precedent="force_actions of Rspamd",
        example="quarantine",
    )
    authenticated: bool | None = option(
        None,
        meaning="Whether it sees mail of clients that logged in (true) or did not (false); not "
        "set, of both. This and the conditions below hold where they cannot be known yet: when a "
        "client connects, all filters are asked.",
        example=False,
    )
    sender_domains: tuple[Domain, ...] = option(
        (),
        meaning="The domains of the senders whose mail it sees. Empty is for all.",
        example=("example.org",),
    )
    recipient_domains: tuple[Domain, ...] = option(
        (),
        meaning="The domains of which one recipient at least has to be. Empty is for all.",
        example=("example.org",),
    )
    size_from: Size = option(size("0B"), least=0, meaning="The smallest mail that it sees.")
    size_to: Size | None = option(
        None,
        least=0,
        meaning="The largest mail that it sees; larger mail passes it by.",
        precedent="Rspamd max_message (50 MiB)",
        example="20MiB",
    )
    direction: Direction | None = option(
        None,
        meaning="Whether it sees mail with a recipient in one of our domains (local), or with one "
        "elsewhere (relay); not set, all mail.",
        example="local",
    )
    options: PartOptions = option(
        PartOptions(),
        meaning="The filter's own options; which there are, its page tells. They are checked like "
        "all others.",
        example={"timeout": "5s"},
    )
