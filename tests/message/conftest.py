"""What the tests of this room share: a reader of IMAP's parenthesized lists."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

_TOKEN = re.compile(
    rb'"((?:[^"\\\r\n]|\\["\\])*+)"|\{(\d+)\}\r\n|(NIL)(?=[ ()]|\Z)|(\d+)|([()])|( )', re.DOTALL
)


def _read(wire: bytes) -> Any:
    stack: list[list[Any]] = [[]]
    at, blank = 0, False
    while at < len(wire):
        token = _TOKEN.match(wire, at)
        assert token is not None, wire[at : at + 80]
        at = token.end()
        quoted, literal, nil, number, bracket, space = token.groups()
        if space:
            assert not blank, "two blanks"
            blank = True
            continue
        if bracket == b"(":
            stack.append([])
        elif bracket == b")":
            assert not blank, "a blank before a bracket"
            done = stack.pop()
            assert done, "an empty list"
            stack[-1].append(done)
        elif literal is not None:
            stack[-1].append(wire[at : at + int(literal)])
            at += int(literal)
        elif nil is not None:
            stack[-1].append(None)
        elif number is not None:
            stack[-1].append(int(number))
        else:
            assert quoted.isascii(), "8 bit in a quoted string"
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", quoted))
        blank = False
    assert len(stack) == 1, "brackets do not match"
    assert len(stack[0]) == 1, "not one value"
    assert b"\0" not in wire
    return stack[0][0]


@pytest.fixture
def read_wire() -> Callable[[bytes], Any]:
    """Read one value as a client would, into lists, bytes, numbers and None."""
    return _read


def _check_envelope(value: Any) -> None:
    assert len(value) == 10
    for place in (0, 1, 8, 9):
        assert value[place] is None or isinstance(value[place], bytes)
    for addresses in value[2:8]:
        for address in addresses or ():
            assert len(address) == 4
            assert all(part is None or isinstance(part, bytes) for part in address)


def _check_body(value: Any, extended: bool) -> None:
    if isinstance(value[0], list):
        count = next(i for i, item in enumerate(value) if not isinstance(item, list))
        for child in value[:count]:
            _check_body(child, extended)
        assert isinstance(value[count], bytes)
        assert len(value) == count + (5 if extended else 1)
        return
    assert isinstance(value[0], bytes)
    assert isinstance(value[1], bytes)
    assert value[2] is None or len(value[2]) % 2 == 0
    assert isinstance(value[5], bytes)
    assert isinstance(value[6], int)
    length = 7
    kind = value[0].lower(), value[1].lower()
    if kind[0] == b"text":
        assert isinstance(value[7], int)
        length = 8
    elif kind in ((b"message", b"rfc822"), (b"message", b"global")):
        _check_envelope(value[7])
        _check_body(value[8], extended)
        assert isinstance(value[9], int)
        length = 10
    assert len(value) == length + (4 if extended else 0)


@pytest.fixture
def check_envelope() -> Callable[[bytes], None]:
    """Check ENVELOPE against the grammar of RFC 9051 §9."""
    return lambda wire: _check_envelope(_read(wire))


@pytest.fixture
def check_body() -> Callable[[bytes, bool], None]:
    """Check BODY, or with True BODYSTRUCTURE, against the grammar of RFC 9051 §9."""
    return lambda wire, extended: _check_body(_read(wire), extended)
