"""docs/howto/authentication.md is true: its configurations are read, and it names every option."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mailplat.app.parts import check_part
from mailplat.config.load import parse
from mailplat.config.reference import options_table

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "authentication.md").read_text()
EXAMPLES: list[str] = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
BASE = '[server]\nhostname = "mail.example.org"\ndomains = ["example.org"]\n'


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_can_be_read(text: str, tmp_path: Path) -> None:
    """Each is read without a fault."""
    assert parse(BASE + text, "page", tmp_path, {}, check_part=check_part)


@pytest.mark.parametrize("prefix", ["authentication", "dkim_sign"])
def test_every_option_is_told(prefix: str) -> None:
    """The page has the table of a filter's options as they are defined."""
    table = check_part("filter", prefix)
    assert table is not None
    for line in options_table(table):
        assert line in PAGE, f"docs/howto/authentication.md lacks:\n{line}"
