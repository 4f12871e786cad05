"""docs/policy.md is true: its configurations can be used, and it names every option."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from mailplat.app.parts import check_part, make_filter
from mailplat.config.load import parse
from mailplat.config.option import options_of, row_class
from mailplat.config.reference import options_table
from mailplat.filters.access_list import read_lines
from mailplat.interfaces.plugins import FilterSettings
from mailplat.model.address import Address
from mailplat.model.reply import Reply
from mailplat.plugins import mailplat_policy
from mailplat.store.policy.memory import MemoryPolicyTable
from mailplat.testing.fakes import KnownNames

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
EXAMPLES: dict[str, str] = dict(
    re.findall(r"^```toml title=(\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
)
BASE = '[server]\nhostname = "mail.example.org"\ndomains = ["example.org"]\n'


async def taken(address: Address) -> Reply | None:
    """Take mail for everybody."""
    return None


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_can_be_used(name: str, tmp_path: Path) -> None:
    """Each is read without a fault, and its filters can be made."""
    found: Any = parse(BASE + EXAMPLES[name], name, tmp_path, {}, check_part=check_part)
    for one in found.filters:
        settings = FilterSettings(
            reactor,
            resolver=KnownNames(),
            options=one.options,
            policy=MemoryPolicyTable(float),
            verify=taken,
        )
        assert make_filter(one.use, settings).stages


@pytest.mark.parametrize("prefix", mailplat_policy.__all__)
def test_every_option_is_told(prefix: str) -> None:
    """The page has the table of a filter's options, and those of its rows."""
    table = check_part("filter", prefix)
    assert table is not None
    tables = [table, *filter(None, (row_class(one.type) for one in options_of(table)))]
    for line in (line for one in tables for line in options_table(one)):
        assert line in PAGE, f"docs/policy.md lacks:\n{line}"


def test_the_access_file() -> None:
    """The file that is shown can be read."""
    (text,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(read_lines(text).senders) == 2
