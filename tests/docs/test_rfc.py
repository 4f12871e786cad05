"""docs/rfc.txt and the code say the same of the RFCs."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"(\d{3,5}) \| (yes |part|plan|no  ) \| (\S.*?) \|(.*)")


def rows() -> dict[int, str]:
    """Read the list: number to status."""
    found: dict[int, str] = {}
    for line in (ROOT / "docs" / "rfc.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            match = ROW.fullmatch(line)
            assert match, f"not a row: {line!r}"
            assert int(match[1]) not in found, f"twice: {line!r}"
            found[int(match[1])] = match[2].strip()
            if match[2] == "part":
                assert match[4].strip(), f"part, and what is left? {line!r}"
    return found


def cited() -> set[int]:
    """Collect what the code cites."""
    text = "".join(path.read_text() for path in (ROOT / "mailplat").rglob("*.py"))
    return {int(number) for number in re.findall(r"RFC (\d{3,5})", text)}


def test_sorted() -> None:
    """A row is found where one looks for it."""
    assert list(rows()) == sorted(rows())


def test_every_citation_has_a_row() -> None:
    """What the code cites is in the list, as something we follow."""
    known = rows()
    assert not {number for number in cited() if known.get(number, "plan") in ("plan", "no")}


def test_every_claim_is_in_the_code() -> None:
    """What the list claims is cited at some line that obeys it."""
    claimed = {number for number, status in rows().items() if status in ("yes", "part")}
    assert not claimed - cited()
