"""Tests for `mailplat.routes.alias_file`: aliases(5) as values."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.model.errors import ConfigurationFault
from mailplat.routes.alias_file import Alias, Member, parse_aliases

TEXT = r"""
# a comment
postmaster: root
Root:   alice, "bob smith"@example.net ,\carol
   , dave@example.com
	# not the end of it
  , "eve, \"the\" second"
"odd: name" : x
hook: "|/usr/bin/hook --to 'a, b'", alice
team: :include:/list, zoe
"""


def included(path: str, where: str) -> tuple[Member, ...]:
    """Read an included file."""
    return (Member(f"of{path}", where=where),)


def parsed(text: str) -> dict[str, Alias]:
    """Read a file."""
    return parse_aliases(text, "aliases", included)


def test_reads_the_format() -> None:
    """Comments, continued lines, quotes, backslashes, commands, included files."""
    found = parsed(TEXT)
    assert {name: [one.text for one in alias.members] for name, alias in found.items()} == {
        "postmaster": ["root"],
        "root": [
            "alice",
            '"bob smith"@example.net',
            "carol",
            "dave@example.com",
            'eve, "the" second',
        ],
        "odd: name": ["x"],
        "hook": ["/usr/bin/hook --to 'a, b'", "alice"],
        "team": ["of/list", "zoe"],
    }
    assert found["root"].where == "aliases:4"
    assert [one.final for one in found["root"].members] == [False, False, True, False, False]
    assert [one.command for one in found["hook"].members] == [True, False]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("alice\n", "aliases:1: expected"),
        ("a: b\n\nA: c", "aliases:3: a is in aliases:1 already"),
        ("a: /var/mail/a", "expected an address"),
        ("a:", "stands for nobody"),
        ('a: "b', "quotes"),
        (": b", "expected"),
        ('"' * 5000, "expected"),
        ("a: " + '"' * 4999, "quotes"),
    ],
)
def test_tells_what_is_wrong(text: str, told: str) -> None:
    """What cannot be read is told with its line, and soon."""
    with pytest.raises(ConfigurationFault, match=told):
        parsed(text)


@given(st.text(alphabet='ab:,"\\ \n#|/@'))
@settings(max_examples=150)
def test_any_text(text: str) -> None:
    """Any text is read, or refused as a fault of the configuration."""
    try:
        found = parsed(text)
    except ConfigurationFault:
        return
    assert all(alias.members for alias in found.values())
