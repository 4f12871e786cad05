"""docs/filters.md is true: its configurations can be used, and it names every option."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from mailplat.app.parts import check_part, make_filter
from mailplat.config.load import parse
from mailplat.config.reference import options_table
from mailplat.interfaces.plugins import FilterSettings

PAGE = (Path(__file__).parents[2] / "docs" / "filters.md").read_text()
EXAMPLES: dict[str, str] = dict(
    re.findall(r"^```toml title=(\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
)
BASE = '[server]\nhostname = "mail.example.org"\ndomains = ["example.org"]\n'


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_can_be_used(name: str, tmp_path: Path) -> None:
    """Each is read without a fault, and its filters can be made."""
    text = BASE + EXAMPLES[name]
    environment = {"HOOK_TOKEN": "secret"}
    found: Any = parse(text, name, tmp_path, environment, check_part=check_part)
    for one in found.filters:
        made = make_filter(one.use, FilterSettings(reactor, options=one.options))
        assert made.stages


@pytest.mark.parametrize(
    "prefix", ["clamd", "spamd", "rspamd", "mta_hook", "milter", "policy_service", "icap"]
)
def test_every_option_is_told(prefix: str) -> None:
    """The page has the table of a filter's options as they are defined."""
    table = check_part("filter", prefix)
    assert table is not None
    for line in options_table(table):
        assert line in PAGE, f"docs/filters.md lacks:\n{line}"
