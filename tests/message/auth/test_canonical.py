"""Tests for `mailplat.message.auth.canonical`: against dkimpy, at every cut."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

import dkim.canonicalization as oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.message.auth.canonical import BodyHash, Canonicalisation, Fields

SIMPLE, RELAXED = Canonicalisation.SIMPLE, Canonicalisation.RELAXED
NASTY = st.lists(
    st.sampled_from([b"\r\n", b"\r\n\r\n", b" ", b"\t", b"  \t ", b"\r", b"\n", b"a", b"b c", b"."])
).map(b"".join)


def digest(how: Canonicalisation, *blocks: bytes, length: int | None = None) -> bytes:
    """Hash a body that comes in these blocks."""
    body = BodyHash(how, length)
    for block in blocks:
        body.receive(block)
    return body.finish()


@pytest.mark.parametrize(
    ("how", "body", "expected"),
    [
        (SIMPLE, b"", b"\r\n"),
        (SIMPLE, b"\r\n\r\n", b"\r\n"),
        (SIMPLE, b" C \r\nD \t E\r\n\r\n\r\n", b" C \r\nD \t E\r\n"),
        (SIMPLE, b"no end", b"no end\r\n"),
        (SIMPLE, b"a\r\n\r", b"a\r\n\r\r\n"),
        (RELAXED, b"", b""),
        (RELAXED, b"\r\n\r\n", b""),
        (RELAXED, b" \t", b""),
        (RELAXED, b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),
        (RELAXED, b"no end ", b"no end\r\n"),
        (RELAXED, b"a\r\n \t\r\n\r\n", b"a\r\n"),
        (RELAXED, b"a \r b\r\n", b"a \r b\r\n"),
        (RELAXED, b"a \n b\r\n", b"a \n b\r\n"),
    ],
)
def test_bodies(how: Canonicalisation, body: bytes, expected: bytes) -> None:
    """Bodies have the forms of RFC 6376 §3.4, whole and in single bytes."""
    wanted = sha256(expected).digest()
    assert digest(how, body) == wanted
    assert digest(how, *(bytes([byte]) for byte in body)) == wanted


def test_the_hashes_of_nothing() -> None:
    """An empty body's hashes are those of the RFC."""
    assert b64encode(digest(SIMPLE)) == b"frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="
    assert b64encode(digest(RELAXED)) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@given(NASTY.map(lambda body: body + b"\r\n"), st.sampled_from([SIMPLE, RELAXED]))
def test_like_dkimpy(body: bytes, how: Canonicalisation) -> None:
    """Any body that ends in CRLF has the form that dkimpy gives it."""
    other = oracle.Simple if how is SIMPLE else oracle.Relaxed
    assert digest(how, body) == sha256(other.canonicalize_body(body)).digest()


@given(NASTY, st.lists(st.integers(0, 60)), st.sampled_from([SIMPLE, RELAXED]))
def test_cuts_make_no_difference(body: bytes, cuts: list[int], how: Canonicalisation) -> None:
    """However a body comes, its hash is the same."""
    ends = [*sorted(cuts), len(body)]
    blocks = [body[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    assert digest(how, *blocks) == digest(how, body)


@given(NASTY, st.integers(0, 80), st.sampled_from([SIMPLE, RELAXED]))
def test_length(body: bytes, length: int, how: Canonicalisation) -> None:
    """A length counts bytes of the canonical form."""
    pieces: list[bytes] = []
    whole = BodyHash(how)
    whole._body._take = pieces.append
    whole.receive(body)
    whole._body.finish()
    text = b"".join(pieces)
    assert digest(how, body, length=length) == sha256(text[:length]).digest()


def test_many_empty_lines() -> None:
    """A million empty lines are counted, not kept, until a word follows."""
    lines = b"\r\n" * 1_000_000
    assert digest(RELAXED, lines, lines) == digest(RELAXED)
    assert digest(RELAXED, lines, b"x") == sha256(lines + b"x\r\n").digest()
    assert digest(RELAXED, b"\r" + lines, b"x") == sha256(b"\r" + lines + b"x\r\n").digest()


HEADER = b"A: X \r\nB : Y\t\r\n\tZ  \r\na: second\r\nJunk\r\n"


@pytest.mark.parametrize("end", [b"", b"\r\n"])
def test_fields(end: bytes) -> None:
    """Fields are taken from the bottom, each once; names that are not there pick nothing."""
    fields = Fields(HEADER + end)
    assert fields.picked([b"a", b"b"], RELAXED) == b"a:second\r\nb:Y Z\r\n"
    assert fields.picked([b"a", b"a", b"a", b"c"], RELAXED) == b"a:second\r\na:X\r\n"
    assert fields.picked([b"b", b"a"], SIMPLE) == b"B : Y\t\r\n\tZ  \r\na: second\r\n"
    assert (fields.count(b"a"), fields.count(b"junk")) == (2, 0)
    assert fields.values(b"a") == [b" X \r\n", b" second\r\n"]


def test_a_field_without_end() -> None:
    """A header may stop within its last line."""
    assert Fields(b"A: 1\r\nB: 2").picked([b"b"], SIMPLE) == b"B: 2\r\n"


@given(st.lists(st.sampled_from([b" ", b"\t", b"\r\n ", b"x", b"Y", b":"])).map(b"".join))
def test_relaxed_fields_like_dkimpy(value: bytes) -> None:
    """A field has the relaxed form that dkimpy gives it."""
    ((name, expected),) = oracle.Relaxed.canonicalize_headers([(b"Abc", value)])
    header = b"Abc:" + value + b"\r\n"
    assert Fields(header).picked([b"abc"], RELAXED) == name + b":" + expected
