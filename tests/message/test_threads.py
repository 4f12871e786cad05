"""Tests for `mailplat.message.threads`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.message import threads
from mailplat.message.threads import Subject


@pytest.mark.parametrize(
    ("value", "base", "reply"),
    [
        (b"Hello", "hello", False),
        (b"re: hello", "hello", True),
        (b"RE : Fwd: fw: hello", "hello", True),
        (b"[list] Re: [list] hello", "hello", True),
        (b"[list] hello", "hello", False),
        (b"re[2]: hello", "hello", True),
        (b"[a][b] re [c] : hello", "hello", True),
        (b"[xyz]", "[xyz]", False),
        (b"[a] [xyz]", "[xyz]", False),
        (b"[foo] Fwd: [bar] Re: fw: b (fWd)  (fwd)", "b", True),
        (b"b (a)", "b (a)", False),
        (b"Re: [FWD: c]", "c", True),
        (b"re: [fwd: [fwd: re: [fwd: babylon]]]", "babylon", True),
        (b"=?iso-8859-1?q?RE:_C?=", "c", True),
        (b"=?us-ascii?b?UmU6IGM=?=", "c", True),
        (b"Ad: Re: x", "ad: re: x", False),
        (b"a\t\tb   c", "a b c", False),
        (b"Re:", "", True),
        (b"", "", False),
        (b"=?iso-8859-1?q?_?=", "", False),
    ],
)
def test_base_subject(value: bytes, base: str, reply: bool) -> None:
    """The steps of RFC 5256 §2.1; §3 says what makes a reply."""
    assert threads.base_subject(value) == Subject(base, reply)


SUBJECTS = st.lists(
    st.sampled_from([b"re", b":", b"[", b"]", b"a", b" ", b"fwd", b"[fwd:", b"(fwd)"])
)


@settings(max_examples=200, deadline=None)
@given(SUBJECTS)
def test_base_subject_is_final(atoms: list[bytes]) -> None:
    """The base of a base is itself."""
    base = threads.base_subject(b"".join(atoms)).base
    assert threads.base_subject(base.encode()).base == base


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (b"<a@b>", ("<a@b>",)),
        (b"<a@b> words <c@d>\t<e@f>", ("<a@b>", "<c@d>", "<e@f>")),
        (b'<"01KF8JCEOCBS0045PS"@x>', ("<01KF8JCEOCBS0045PS@x>",)),  # RFC 5256 §3
        (b'<"a\\"b c"@x>', ('<a"b c@x>',)),
        (b"<no-at> << >", ()),
        (b"<a@b@c> <x@\xc3\xa4>", ("<x@ä>",)),
        (b"<" + b"a" * 2000 + b"@b>", ()),
    ],
)
def test_message_ids(value: bytes, ids: tuple[str, ...]) -> None:
    """Valid ids in one spelling."""
    assert threads.message_ids(value) == ids


def test_references() -> None:
    """References count; without a valid one, the first id of In-Reply-To (RFC 5256 §3)."""
    assert threads.references(b"<a@b> <c@d>", b"<x@y>") == ("<a@b>", "<c@d>")
    assert threads.references(b"nothing", b"<x@y> <z@y>") == ("<x@y>",)
    assert threads.references(None, None) == ()
    many = b" ".join(b"<%d@x>" % i for i in range(1500))
    assert threads.references(many, None)[-1] == "<1499@x>"
    assert len(threads.references(many, None)) == threads.MAX_REFERENCES
