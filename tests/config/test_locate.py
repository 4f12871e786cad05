"""Tests for `mailplat.config.locate`."""

from __future__ import annotations

import json
import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.config.locate import Lines, Path

DOCUMENT = '''\
# [server] in a comment
top = 1
[server]  # a comment = "behind"
name = "x # no comment"
"quoted.key" = 'a [b] = c'

  [server.inner]
dotted . keys = { one = 1, two.three = [1, {four = "}"}] }
text = """
[not.a.table]
key = 3 \\""" still inside"""
raw = \'\'\'
x = \'\'\'
[[row]]
at = 1979-05-27 07:32:00  # a time with a blank
list = [
  "a", # one
  # nothing
  ["b",
   "c"], ]
[[row]]
[row.sub]
deep = true
[[row.sub.many]]
x = 1
'''


def test_every_line() -> None:
    """Every way of writing a key is found on its line."""
    tomllib.loads(DOCUMENT)
    lines = Lines(DOCUMENT)
    expected: dict[Path, int] = {
        ("top",): 2,
        ("server",): 3,
        ("server", "name"): 4,
        ("server", "quoted.key"): 5,
        ("server", "inner"): 7,
        ("server", "inner", "dotted", "keys"): 8,
        ("server", "inner", "dotted", "keys", "two", "three", 1, "four"): 8,
        ("server", "inner", "text"): 9,
        ("server", "inner", "raw"): 12,
        ("row", 0): 14,
        ("row", 0, "at"): 15,
        ("row", 0, "list"): 16,
        ("row", 0, "list", 0): 17,
        ("row", 0, "list", 1): 19,
        ("row", 0, "list", 1, 1): 20,
        ("row", 1): 21,
        ("row", 1, "sub", "deep"): 23,
        ("row", 1, "sub", "many", 0): 24,
        ("row", 1, "sub", "many", 0, "x"): 25,
    }
    assert {place: lines.line_of(place) for place in expected} == expected


def test_missing_values_are_where_their_table_is() -> None:
    """What does not stand in the text is told on the line of the nearest table above it."""
    lines = Lines(DOCUMENT)
    assert lines.line_of(("row", 1, "absent", "deeper")) == 21
    assert lines.line_of(("absent",)) == 1
    assert Lines("").line_of(("server",)) == 1


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("[]{}=#.,'\"\\"))
scalars = st.integers() | st.booleans() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


def _spell(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_spell(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[ # opened\n" + "".join(f"  {_spell(element)},\n" for element in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)


@settings(max_examples=60)
@given(st.lists(st.dictionaries(texts, values, max_size=3), max_size=3))
def test_keys_of_any_document(tables: list[dict[str, Any]]) -> None:
    """Whatever stands between them, each key is found on the line it was written on."""
    text, expected = "", dict[Path, int]()
    for at, table in enumerate(tables):
        text += "[[row]]\n"
        for key, value in table.items():
            expected["row", at, key] = text.count("\n") + 1
            text += f"{_key(key)} = {_spell(value)} # behind\n"
    assert tomllib.loads(text).get("row", []) == tables
    lines = Lines(text)
    assert {place: lines.line_of(place) for place in expected} == expected
