"""docs/internals/imap.md names tests and options that there are, and leaves no capability out."""

from __future__ import annotations

import re
from pathlib import Path

from mailplat.config.option import options_of, table_class
from mailplat.config.options import Configuration

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "internals" / "imap.md"
TEST = re.compile(r"`((?:tests|mailplat)/[\w./]+)::(?:(\w+)::)?(\w+)(?:\[(.+?)\])?`")
OPTION = re.compile(r"`([a-z]+)\.([a-z_]+)`")


def test_every_test_is_there() -> None:
    """Each name leads to a function, and each case to an entry of its table."""
    named = TEST.findall(TABLE.read_text())
    assert len(named) > 80
    texts: dict[Path, str] = {}
    for place, group, name, case in named:
        path = ROOT / place
        if path not in texts:
            files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
            texts[path] = "\n".join(file.read_text() for file in files)
        text = texts[path]
        assert re.search(rf"^ *(async )?def {name}\(", text, re.MULTILINE), f"{place}::{name}"
        assert not group or f"class {group}:" in text, f"{place}::{group}"
        assert not case or f'"{case}":' in text, f"{place}::{name}[{case}]"


def test_every_row_names_a_test() -> None:
    """No row stands there by its word alone."""
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    for row in rows:
        assert "::" in row or row.endswith("Proved by |"), row


def test_every_option_is_there() -> None:
    """The options of the limits are options."""
    known = {
        (option.name, inner.name)
        for option in options_of(Configuration)
        if (table := table_class(option.type))
        for inner in options_of(table)
    }
    assert set(OPTION.findall(TABLE.read_text())) <= known


def test_every_capability_is_in_the_table() -> None:
    """What a session lists is in the table."""
    source = (ROOT / "tests/sessions/imap/test_offers.py").read_text()
    listed = re.findall(r'AFTER = """(.*?)"""', source, re.DOTALL)[0].split()
    text = TABLE.read_text()
    for name in listed:
        assert name.partition("=5")[0] in text, name
