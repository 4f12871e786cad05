"""Tests for `mailplat.message.scan`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.message import scan as scanning
from mailplat.message.scan import ScanLimits, Scanner, scan
from mailplat.message.tree import Kind, Part, Scan

MIXED = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n"


TINY = ScanLimits(block_bytes=2)


def in_blocks(message: bytes, *cuts: int, limits: ScanLimits = TINY) -> Scan:
    """Scan a message that comes in blocks, cut at these offsets."""
    scanner = Scanner(limits)
    for start, end in zip((0, *cuts), (*cuts, len(message)), strict=True):
        scanner.receive(message[start:end])
    return scanner.close()


def check(message: bytes, part: Part, start: int, end: int) -> None:
    """Check that offsets nest, lines are counted, and children fit the kind."""
    assert start <= part.header_start <= part.body_start <= part.end <= end
    if part.kind in (Kind.PLAIN, Kind.HTML, Kind.TEXT, Kind.MESSAGE):
        assert part.lines == message.count(b"\n", part.body_start, part.end)
    else:
        assert part.lines == 0
    at = part.body_start
    for child in part.children:
        check(message, child, at, part.end)
        at = child.end
    if part.kind is Kind.MULTIPART:
        assert part.children
    elif part.kind is Kind.MESSAGE:
        (root,) = part.children
        assert (root.header_start, root.end) == (part.body_start, part.end)
    else:
        assert not part.children


def bodies(message: bytes, part: Part) -> list[bytes]:
    """List the bodies of all leaves."""
    if not part.children:
        return [message[part.body_start : part.end]]
    return [body for child in part.children for body in bodies(message, child)]


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (b"", [b""]),
        (b"\r\n", [b""]),
        (b"\r\nbody\r\n", [b"body\r\n"]),
        (b"\nbody\n", [b"body\n"]),
        (b"A: b\r\n", [b""]),
        (b"A: b\r\n\r\nbody", [b"body"]),
        (b"A: b\n\nbody", [b"body"]),
        (b"A: b\r\n \r\n\r\nbody", [b"body"]),  # a line of blanks goes on the field
        (MIXED + b"--a\r\n\r\nx\r\n--a\r\n\r\ny\r\n\r\n--a--\r\n", [b"x", b"y\r\n"]),
        (MIXED + b"pre\r\n--a\r\n\r\nx\r\n--a--\r\nepi\r\n--a\r\n\r\nno\r\n", [b"x"]),
        (MIXED + b"--a\n\nx\n--a--\n", [b"x"]),
        (MIXED + b"--a \t\r\n\r\nx\r\n--a--\t\r\n", [b"x"]),
        (
            MIXED + b"--a\r\n\r\nx\r\n--ab\r\n--a-\r\n--a--x\r\n",
            [b"x\r\n--ab\r\n--a-\r\n--a--x\r\n"],
        ),
        (MIXED + b"--a\r\n\r\nx\r\n--a", [b"x", b""]),
        (MIXED + b"--a\r\n\r\nx\r\n--a--", [b"x"]),
        (MIXED + b"--a\r\nContent-Type: text/html\r\n--a--\r\n", [b""]),
        (MIXED + b"--a\r\n--a\r\n\r\n--a--\r\n", [b"", b""]),
        (MIXED + b"no delimiter\r\n", [b""]),
        (MIXED + b"--a--\r\n", [b""]),
        (MIXED + b"--a\r\n\r\nx --a\r\n --a\r\n", [b"x --a\r\n --a\r\n"]),
        (MIXED + b"--a\r\n\r\nbare\r--a\r\n", [b"bare\r--a\r\n"]),
        (MIXED + b"--a" + b" " * 1001 + b"\r\n\r\nx", [b""]),
        (b"Content-Type: multipart/mixed\r\n\r\n--\r\n\r\nx\r\n", [b"--\r\n\r\nx\r\n"]),
        (
            MIXED
            + b"--a\r\nContent-Type: multipart/x; boundary=ab\r\n\r\n--ab\r\n\r\nx\r\n--ab--\r\n"
            + b"--a\r\n\r\ny\r\n--a--\r\n",
            [b"x", b"y"],
        ),
        (  # the inner multipart is not ended
            MIXED
            + b"--a\r\nContent-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\n\r\nx\r\n"
            + b"--a\r\n\r\ny\r\n--a--\r\n",
            [b"x", b"y"],
        ),
        (  # one boundary at two levels: the innermost takes the line
            MIXED + b"--a\r\n" + MIXED + b"--a\r\n\r\nx\r\n--a--\r\n--a\r\n\r\ny\r\n--a--\r\n",
            [b"x", b"y"],
        ),
        (  # "--a--" is the inner delimiter where the inner boundary is "a--"
            MIXED
            + b'--a\r\nContent-Type: multipart/mixed; boundary="a--"\r\n\r\n'
            + b"--a--\r\n\r\nx\r\n--a----\r\n--a\r\n\r\ny\r\n--a--\r\n",
            [b"x", b"y"],
        ),
        (b"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nbody\r\n", [b"body\r\n"]),
        (b"Content-Type: message/rfc822\r\n\r\n", [b""]),
        (MIXED + b"--a\r\nContent-Type: message/rfc822\r\n--a\r\n\r\nx", [b"", b"x"]),
        (
            b"Content-Type: multipart/digest; boundary=a\r\n\r\n--a\r\n\r\nA: b\r\n\r\nx\r\n--a--",
            [b"x"],
        ),
    ],
)
def test_finds_the_leaves_at_every_cut(message: bytes, found: list[bytes]) -> None:
    """Good and broken MIME gives the same parts wherever it is cut."""
    whole = scan(message)
    assert bodies(message, whole.root) == found
    check(message, whole.root, 0, len(message))
    for cut in range(len(message) + 1):
        assert in_blocks(message, cut) == whole, cut
    assert in_blocks(message, *range(1, len(message))) == whole


@dataclass
class Tree:
    """A well-formed part: a leaf's body, or the parts of a multipart or of a message."""

    body: bytes = b""
    parts: list[Tree] = field(default_factory=list)
    message: bool = False


LEAVES = st.binary(max_size=30).map(lambda body: Tree(body.replace(b"-", b"\r\n")))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(lambda parts: Tree(parts=parts)),
        inner.map(lambda part: Tree(parts=[part], message=True)),
    ),
    max_leaves=12,
)


def render(tree: Tree, name: bytes, found: list[bytes]) -> bytes:
    """Spell a tree as MIME; note the bodies of its leaves."""
    if not tree.parts:
        found.append(tree.body)
        return b"Content-Type: image/x\r\n\r\n" + tree.body
    if tree.message:
        return b"Content-Type: message/rfc822\r\n\r\n" + render(tree.parts[0], name + b"m", found)
    made = b'Content-Type: multipart/mixed; boundary="%b"\r\n\r\npreamble\r\n' % name
    for number, part in enumerate(tree.parts):
        made += b"--%b\r\n%b\r\n" % (name, render(part, name + b"%d" % number, found))
    return made + b"--%b--\r\nepilogue" % name


@settings(max_examples=80, deadline=None)
@given(TREES, st.lists(st.integers(0, 400), max_size=5))
def test_well_formed_mime(tree: Tree, cuts: list[int]) -> None:
    """The leaves of a well-formed message come out byte for byte, each in its place."""
    expected: list[bytes] = []
    message = render(tree, b"=_", expected)
    whole = scan(message)
    assert bodies(message, whole.root) == expected
    check(message, whole.root, 0, len(message))
    assert in_blocks(message, *sorted(min(cut, len(message)) for cut in cuts)) == whole


ATOMS = [
    *(
        b"--a\r\n",
        b"--a",
        b"--a--\r\n",
        b"--a--",
        b"--ab\r\n",
        b"--ab--\r\n",
        b"--a-\r\n",
        b"--a \t\r\n",
    ),
    *(b"--a\n", b"\r\n", b"\n", b"\r", b"-", b"--", b" ", b"x", b"\0", b"\xff", b"text\r\n"),
    *(
        MIXED,
        b"Content-Type: multipart/digest; boundary=ab\r\n",
        b"Content-Type: message/rfc822\r\n",
    ),
    *(b"Content-Type: text/html\r\n", b"Content-Type: image/png\r\n", b"Subject: x\r\n\r\n"),
    *(b'Content-Type: multipart/mixed; boundary="a--"\r\n', b"Content-Disposition: attachment\r\n"),
]
LIMITS = st.sampled_from(
    [
        ScanLimits(block_bytes=2),
        ScanLimits(block_bytes=2, depth=1),
        ScanLimits(block_bytes=2, parts=3),
        ScanLimits(block_bytes=2, header_bytes=30),
        ScanLimits(block_bytes=2, nested_header_bytes=40),
        ScanLimits(block_bytes=2, preview_bytes=5),
    ]
)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from([0, 50]), st.lists(st.sampled_from(ATOMS), max_size=30), LIMITS)
def test_same_at_every_cut(misses: int, atoms: list[bytes], limits: ScanLimits) -> None:
    """Tricky pieces in any order: never an error, and one result wherever the input is cut."""
    message = MIXED + b"".join(atoms)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "_MISSES", misses)  # 0: boundaries are searched by expression
        whole = scan(message, limits)
        check(message, whole.root, 0, len(message))
        assert (whole.root.header_start, whole.root.end, whole.size) == (
            0,
            len(message),
            whole.size,
        )
        assert whole.nul == (b"\0" in message)
        assert whole.eight_bit == (not message.isascii())
        for cut in range(len(MIXED) - 2, len(message) + 1, 3):
            assert in_blocks(message, cut, limits=limits) == whole, cut
        assert in_blocks(message, *range(1, len(message)), limits=limits) == whole


def test_describes_parts() -> None:
    """Types are spelt as in the message; the first field of a name counts."""
    root = scan(
        b"content-type : Text/HTML (c); Charset=UTF-8\r\nContent-Type: image/png\r\n"
        b"Content-ID: <x@y>\r\nCONTENT-disposition:\r\n inline\r\n\r\nx"
    ).root
    assert (root.type, root.subtype, root.kind) == (b"Text", b"HTML", Kind.HTML)
    assert root.parameters == ((b"Charset", b"UTF-8"),)
    assert root.fields == {b"id": b" <x@y>\r", b"disposition": b"\r\n inline\r"}


@pytest.mark.parametrize("value", [b"", b"text", b"/", b"; x=y", b"multipart/mixed", b"\0"])
def test_broken_types_are_plain_text(value: bytes) -> None:
    """What cannot be read is text/plain in US-ASCII (RFC 2045 §5.2)."""
    root = scan(b"Content-Type: " + value + b"\r\n\r\nx").root
    assert (root.type, root.subtype, root.kind) == (b"text", b"plain", Kind.PLAIN)
    assert root.parameters == ((b"charset", b"us-ascii"),)


def test_sample() -> None:
    """The preview's text is the first plain text, else the first HTML; never an attachment."""
    html = b"Content-Type: text/html\r\n\r\n<p>"
    attached = b"Content-Disposition: attachment\r\n\r\nattached"
    plain = b"\r\nplain " + b"x" * 9000
    message = MIXED + b"".join(b"--a\r\n" + part + b"\r\n" for part in (attached, html, plain))
    for found in (scan(message), in_blocks(message, 50, 100, 5000, limits=ScanLimits())):
        assert found.sample is not None
        assert found.sample.data == (plain[2:])[:8192]
        assert found.sample.part is found.root.children[2]
    only = scan(message.replace(plain, b"\r\n \t\r\n"))
    assert only.sample is not None
    assert only.sample.data == b"<p>"
    assert scan(MIXED + b"--a\r\n" + attached).sample is None


def test_depth_limit() -> None:
    """What nests deeper than the limit is one opaque leaf."""
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(200)
    )
    part, depth = scan(deep + b"\r\nx\r\n").root, 0
    while part.children:
        part, depth = part.children[0], depth + 1
    assert depth == 100
    assert (part.type, part.subtype, part.kind) == (b"application", b"octet-stream", Kind.LEAF)
    assert part.end == len(deep) + 5
    mails = scan(b"Content-Type: message/rfc822\r\n\r\n" * 200, ScanLimits(depth=7)).root
    for _ in range(7):
        (mails,) = mails.children
    assert mails.kind is Kind.LEAF


def test_part_limit() -> None:
    """The last part that the limit allows goes on to the end of the message."""
    message = MIXED + b"--a\r\n\r\nx\r\n" * 50 + b"--a--\r\n"
    root = scan(message, ScanLimits(parts=10)).root
    assert len(root.children) == 9
    assert root.children[-1].type == b"application"
    assert root.children[-1].end == len(message)
    assert len(scan(message, ScanLimits(parts=52)).root.children) == 50


def test_parameter_limit() -> None:
    """Parameters beyond the limit are passed over, sections of one value counted each."""
    message = b"Content-Type: text/plain; " + b"; ".join(b"p%d=x" % i for i in range(500))
    assert len(scan(message + b"\r\n\r\n").root.parameters) == 128
    assert len(scan(message + b"\r\n\r\n", ScanLimits(parameters=8)).root.parameters) == 8
    joined = b"Content-Type: text/plain; " + b"; ".join(b"a*%d=x" % i for i in range(500))
    assert scan(joined + b"\r\n\r\n").root.parameters == ((b"a", 128 * b"x"),)


def test_header_limits() -> None:
    """Of a header beyond the limit the first bytes are read; its end is still found."""
    message = b"A: b\r\n" * 100 + b"Content-Type: text/html\r\n\r\nbody"
    root = scan(message, ScanLimits(header_bytes=100)).root
    assert root.header == message[:100]
    assert root.kind is Kind.PLAIN
    assert message[root.body_start :] == b"body"
    many = MIXED + b"--a\r\nContent-Type: text/html\r\n\r\nx\r\n" * 50
    parts = scan(many, ScanLimits(nested_header_bytes=200)).root.children
    assert parts[-1].kind is Kind.LEAF
    assert parts[-1].end == len(many)
    assert len(parts) == 9


@pytest.mark.parametrize(
    "message",
    [
        MIXED + b"\r\n--ab" * 500_000,
        MIXED + b"\r\n--a" + b" " * 3_000_000,
        MIXED + b"\n--a\n\n" * 500_000,
        MIXED + b"\n--" * 1_000_000,
        b"Content-Type: message/rfc822\r\n\r\n" * 100_000,
        b"Subject: x\r\n" + b" y\r\n" * 700_000,
        b"Content-Type: text/plain" + b'; a="\\' * 500_000,
        b"".join(
            b"Content-Type: multipart/x; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(99)
        )
        + b"\r\n\r\n"
        + b"\r\n--b1x" * 400_000,
    ],
    ids=["false", "blanks", "parts", "hyphens", "mails", "folds", "quotes", "deep"],
)
def test_linear_time(message: bytes) -> None:
    """A few MB of the worst take well under what quadratic time would."""
    start = time.process_time()
    scan(message)
    assert time.process_time() - start < 2


def test_memory_is_bounded() -> None:
    """Of a body that streams by, nothing but a line's length stays."""
    scanner = Scanner()
    scanner.receive(MIXED + b"--a\r\nContent-Type: application/x\r\n\r\n")
    for _ in range(100):
        scanner.receive(b"0123456789abcdef" * 4096)
        held = len(scanner._data) + scanner._waiting_bytes + len(scanner._header)
        assert held < 40_000
    assert scanner.close().size > 6_000_000
