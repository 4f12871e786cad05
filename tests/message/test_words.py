"""Tests for `mailplat.message.words`, `.charsets` and `.parameters`."""

from __future__ import annotations

import encodings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.message import charsets, parameters, words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"(=?ISO-8859-1?Q?a?=)", "(a)"),  # the examples of RFC 2047 §8
        (b"(=?ISO-8859-1?Q?a?= b)", "(a b)"),
        (b"(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
        (b"(=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=)", "(ab)"),
        (b"(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
        (b"=?utf-8?q?caf=C3?= =?UTF-8?b?qQ==?=", "café"),  # a character cut in two
        (b"=?iso-8859-1?q?=e4?= =?utf-8?q?=c3=a4?= c", "ää c"),
        (b"=?utf-8*de?q?=c3=a4?=", "ä"),  # RFC 2231 §5
        (b"x=?utf-8?q?y?=z", "xyz"),
        (b"=?utf-8?q?never closed", "=?utf-8?q?never closed"),
        (b"=?x-none?q?=e4?=", "ä"),
        (b"=?zlib?b?eJw=?=", "xœ"),
        (b"gr\xfc\xdfe", "grüße"),
        ("größe".encode(), "größe"),
    ],
)
def test_decodes(value: bytes, text: str) -> None:
    """Encoded words become text; what is none stays."""
    assert words.decode(value) == text


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_encode_and_back(text: str) -> None:
    """What is encoded is ASCII in short words, and decodes to the same text."""
    spelt = words.encode(text)
    assert spelt.isascii()
    if not text.isascii() or "=?" in text:
        encoded = [word for word in spelt.split(" ") if word.startswith("=?")]
        assert max(map(len, encoded), default=0) <= 75
        whole = text.encode("utf-8", "replace").decode()
        assert words.decode(spelt.encode()).split() == whole.split()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([b"=?", b"?=", b"utf-8", b"?q?", b"?b?", b"=C3", b"\xff", b" ", b"x"]))
)
def test_decode_never_raises(atoms: list[bytes]) -> None:
    """Any bytes give text."""
    words.decode(b"".join(atoms))


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"\xe4", "ISO-8859-1", "ä"),
        (b"\x80", "iso-8859-1", "€"),
        (b"\x80", "windows-1252", "€"),
        (b"\xe4", "us-ascii", "ä"),
        (b"\xc3\xa4", "us-ascii", "ä"),
        (b"\xc3\xa4\xff", "utf-8", "ä\ufffd"),
        (b"\xc3\xa4", "no-such-charset", "ä"),
        (b"\xc3\xa4", "rot13", "ä"),
        (b"\xc3\xa4", "x" * 10_000, "ä"),
        (b"\xc3\xa4", "a\0b/../c", "ä"),
        (b"\xd6\xd0", "gb2312", "中"),
        ("日本".encode("iso-2022-jp"), "ISO-2022-JP", "日本"),
        (b"abc", "utf-16", "\u6261\ufffd"),
    ],
)
def test_charsets(data: bytes, charset: str, text: str) -> None:
    """Every charset decodes, known or not, right or wrong."""
    assert charsets.decode(data, charset) == text


def test_strange_charsets_leave_no_trace() -> None:
    """A name from a stranger is not looked up, so Python's own table of codecs does not grow."""
    cache = encodings._cache
    before = len(cache)
    for number in range(50):
        charsets.decode(b"\xe4", f"stranger-{number}")
    assert len(cache) == before
    assert charsets.canonical("zlib") is None
    assert charsets.canonical("idna") is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"text/plain", ()),
        (b"text/plain; charset=utf-8", ((b"charset", b"utf-8"),)),
        (b'x; a="b \\"c\\"; d" ; E = f', ((b"a", b'b "c"; d'), (b"E", b"f"))),
        (b"x;;; ;a=b;;", ((b"a", b"b"),)),
        (b"x; name=a file.txt; b=c", ((b"name", b"a file.txt"), (b"b", b"c"))),
        (b'x; a="never closed; b=c', ((b"a", b"never closed; b=c"),)),
        (b"x; (note) a=b (note); c=d", ((b"a", b"b"), (b"c", b"d"))),
        (b"x; novalue; a=b", ((b"a", b"b"),)),
        (b"x; a=", ((b"a", b""),)),
        (b'x; boundary="foo\r\n bar"', ((b"boundary", b"foo bar"),)),
        (b"x; n*0=one; n*1=two; m=y", ((b"n", b"onetwo"), (b"m", b"y"))),
        (b"x; n*1=two; n*0=one", ((b"n", b"onetwo"),)),
        (b"x; n*0=a; n*2=c", ((b"n", b"a"),)),
        (b"x; n*=iso-8859-1'de'%FC", ((b"n*", b"utf-8'de'%C3%BC"),)),
        (b"x; n*0*=utf-8''%c3%a4; n*1=b; n*2*=%20", ((b"n*", b"utf-8''%C3%A4b%20"),)),
        (b"x; n*=plain", ((b"n*", b"utf-8''plain"),)),
    ],
)
def test_parameters(value: bytes, found: parameters.Parameters) -> None:
    """Parameters in the message's order, continuations joined (RFC 2231 §3, §4)."""
    assert parameters.parse(value) == found


def test_parameters_limit() -> None:
    """Beyond the limit, parameters are passed over."""
    value = b"x" + b"".join(b"; p%d=%d" % (i, i) for i in range(300))
    assert len(parameters.parse(value)) == parameters.MAX_PARAMETERS == 128
    assert parameters.parse(value, 1) == ((b"p0", b"0"),)


def test_parameter_for_people() -> None:
    """A parameter decodes from RFC 2231's form, and from encoded words that should not be there."""
    given_ = parameters.parse(b"x; filename*=iso-8859-1'de'%FC.txt; name==?utf-8?q?=C3=BC?=")
    assert parameters.text(given_, b"filename") == "ü.txt"
    assert parameters.text(given_, b"name") == "ü"
    assert parameters.text(given_, b"other") is None
    assert parameters.value_of(given_, b"name") == b"=?utf-8?q?=C3=BC?="


def test_token() -> None:
    """A value's token, without comments and blanks."""
    assert parameters.token(b" (c) base64 (x)") == b"base64"
    assert parameters.token(b" ; x=y") == b""


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [b";", b"=", b'"', b"\\", b"(", b")", b" ", b"a", b"*", b"0", b"'", b"%", b"\r\n "]
        )
    )
)
def test_parameters_never_raise(atoms: list[bytes]) -> None:
    """Any bytes may stand in a field."""
    for _, value in parameters.parse(b"x;" + b"".join(atoms)):
        assert b"\n" not in value
