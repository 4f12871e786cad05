"""Where in a TOML text a value stands, for error messages that name a line.

`tomllib` gives values without places.  This goes over the same text once more and notes the line at
which each key and each element of an array begins; values are stepped over, not read.

Invariant: the text is one that `tomllib` has accepted, so nothing is checked here a second time.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

__all__ = ["Lines", "Path"]

Path = tuple[str | int, ...]
"""Keys and positions from the root of the document to a value."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*'""")
_SCALAR = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'  # up to two quotes may stand before the closing three
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|[^,\]}#\n]+",
    re.DOTALL,
)


class Lines:
    """The lines of the values of one document."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0] + [at + 1 for at, char in enumerate(text) if char == "\n"]
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}  # arrays of tables: how many so far
        self._document()

    def line_of(self, path: Path) -> int:
        """Give the line, from 1, of a value, or of the nearest table above it."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def _document(self) -> None:
        table: Path = ()
        while self._skip(_BLANK) < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._text, self._at)
        assert found is not None
        self._at = found.end()
        return self._at

    def _note(self, path: Path) -> None:
        self._lines.setdefault(path, bisect_right(self._starts, self._at))

    def _keys(self) -> list[str]:
        """Step over a key, dotted or not."""
        keys = []
        while True:
            self._skip(_SPACE)
            start = self._at
            key = self._text[start : self._skip(_KEY)]
            keys.append(tomllib.loads(f"key = {key}")["key"] if key[0] in "\"'" else key)
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _header(self) -> Path:
        """Step over ``[table]`` or ``[[row]]``; give the path that its keys begin with."""
        opened = self._at
        many = self._text.startswith("[[", opened)
        self._at += 2 if many else 1
        keys = self._keys()
        closed, self._at = self._at + (2 if many else 1), opened
        path: Path = ()
        for depth, key in enumerate(keys, 1):
            path += (key,)
            self._note(path)
            if many and depth == len(keys):
                self._arrays[path] = self._arrays.get(path, 0) + 1
            if path in self._arrays:
                path += (self._arrays[path] - 1,)
                self._note(path)
        self._at = closed
        return path

    def _pair(self, table: Path) -> None:
        """Step over ``key = value``."""
        start = self._at
        keys = self._keys()
        after, self._at = self._at, start
        for key in keys:
            table += (key,)
            self._note(table)
        self._at = after + 1  # the equals sign
        self._skip(_SPACE)
        self._value(table)

    def _value(self, path: Path) -> None:
        opening = self._text[self._at]
        if opening not in "[{":
            self._skip(_SCALAR)
            return
        closing = "]" if opening == "[" else "}"
        self._at += 1
        index = 0
        while self._skip(_BLANK) < len(self._text):
            char = self._text[self._at]
            if char == closing:
                self._at += 1
                return
            if char == ",":
                self._at += 1
            elif opening == "{":
                self._pair(path)
            else:
                element = (*path, index)
                self._note(element)
                self._value(element)
                index += 1
