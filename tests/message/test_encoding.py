"""Tests for `mailplat.message.encoding`."""

from __future__ import annotations

import base64
import quopri

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.message.encoding import Encoding, decode, decoder, encoding_of


@pytest.mark.parametrize(
    ("encoded", "data"),
    [
        (b"aGVs\r\nbG8gd29y\r\nbGQ=\r\n", b"hello world"),
        (b"  aGVs    \r\n bG8g  \r\n   d29y  \t \r\n    bGQ= \r\n", b"hello world"),
        (b"aGVsbG8", b"hello"),
        (b"aGVsb", b"hel"),
        (b"a!G@V#s", b"hel"),
        (b"aA==bB==", b"h"),  # the first "=" ends the data (RFC 2045 §6.8)
        (b"", b""),
        (b"=", b""),
    ],
)
def test_base64(encoded: bytes, data: bytes) -> None:
    """Base64, with what mailers do to it."""
    assert decode(encoded, Encoding.BASE64) == data


@pytest.mark.parametrize(
    ("encoded", "data"),
    [
        (b"hello  \r\nbar=\r\n\r\nfoo\t=\r\nbar", b"hello\r\nbar\r\nfoo\tbar"),
        (b"foo\t \t= \r\n=62", b"foo\t \tb"),
        (b"foo =\t\r\nbar", b"foo bar"),
        (b"a=3d=C3=a4", b"a=\xc3\xa4"),
        (b"a==3D =ZZ =4", b"a== =ZZ =4"),
        (b"end=", b"end"),
        (b"end= \t", b"end"),
        (b"a=\nb", b"ab"),
        (b"a=\rb\r\nc", b"a=\rb\r\nc"),
        (b"a\0\xff\rb", b"a\0\xff\rb"),
    ],
)
def test_quoted_printable(encoded: bytes, data: bytes) -> None:
    """Quoted-printable, right and wrong (RFC 2045 §6.7)."""
    assert decode(encoded, Encoding.QUOTED_PRINTABLE) == data


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_undoes_what_the_library_does(data: bytes) -> None:
    """Both encodings give the data back that went in."""
    assert decode(base64.encodebytes(data), Encoding.BASE64) == data
    text = data.replace(b"\r", b"").replace(b"\n", b"\r\n")
    quoted = quopri.encodestring(text.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    assert decode(quoted, Encoding.QUOTED_PRINTABLE) == text


ATOMS = [
    b"=",
    b"=4",
    b"=41",
    b"=\r\n",
    b" ",
    b"\t",
    b"\r",
    b"\n",
    b"\r\n",
    b"a",
    b"YQ",
    b"==",
    b"\xff",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(ATOMS), max_size=25), st.sampled_from(Encoding))
def test_same_at_every_cut(atoms: list[bytes], encoding: Encoding) -> None:
    """However the input is cut, the same bytes come out."""
    data = b"".join(atoms)
    whole = decode(data, encoding)
    undo = decoder(encoding)
    single = b"".join(undo.receive(data[i : i + 1]) for i in range(len(data)))
    assert single + undo.close() == whole
    for cut in range(len(data) + 1):
        undo = decoder(encoding)
        assert undo.receive(data[:cut]) + undo.receive(data[cut:]) + undo.close() == whole, cut


def test_names() -> None:
    """Names match without regard to case; what is unknown is said to be (RFC 9051 UNKNOWN-CTE)."""
    assert encoding_of(b"Base64") is Encoding.BASE64
    assert encoding_of(b"QUOTED-PRINTABLE") is Encoding.QUOTED_PRINTABLE
    assert encoding_of(b"") is encoding_of(b"8BIT") is encoding_of(b"binary") is Encoding.IDENTITY
    assert encoding_of(b"x-uuencode") is Encoding.UNKNOWN
