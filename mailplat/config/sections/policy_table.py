"""Where policy filters remember what they saw: ``[policy_table]``."""

from __future__ import annotations

import attrs

from mailplat.config.option import option
from mailplat.config.values import Duration, PartText, duration

__all__ = ["PolicyTableOptions"]


@attrs.frozen(kw_only=True)
class PolicyTableOptions:
    """Where greylisting, shared rates and verified recipients are remembered."""

    use: PartText = option(
        PartText("store:"),
        meaning="The table: `store:` is beside the mail (in the store's database if that is "
        "PostgreSQL, and then shared by all its servers, else in the file policy.sqlite of the "
        "data directory), `sqlite:FILE`, `postgresql://USER@HOST/DATABASE`, or `memory:`, which "
        "is forgotten when the server ends.",
        precedent="Postfix postscreen_cache_map, Postgrey --dbdir",
        example="sqlite:/var/lib/mailplat/policy.sqlite",
    )
    max_entries: int = option(
        1_000_000,
        unit="entries",
        least=1000,
        meaning="How many entries are kept, roughly; those that would expire first go.",
    )
    sweep: Duration = option(
        duration("10m"),
        least=1,
        meaning="How often expired entries are removed.",
        precedent="Postfix postscreen_cache_cleanup_interval (12 h)",
    )
    max_waiting: int = option(
        10_000,
        unit="updates",
        least=1,
        meaning="How many updates may wait; further ones fail, and `on_error` of the filter "
        "counts.",
    )
    max_batch: int = option(
        200, unit="updates", least=1, meaning="How many updates are committed together."
    )
