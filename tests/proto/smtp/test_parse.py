"""Tests for `mailplat.proto.smtp.parse`."""

from __future__ import annotations

from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.model.address import Address
from mailplat.model.envelope import BodyType, Notify, Recipient, Return, Sender
from mailplat.proto.sasl.password import PASSWORD_MECHANISMS
from mailplat.proto.smtp.offers import Limits, Offers
from mailplat.proto.smtp.parse import (
    CommandFault,
    decode_xtext,
    parse_hello,
    parse_mail,
    parse_rcpt,
)

ALL = Offers(
    smtputf8=True,
    dsn=True,
    chunking=True,
    binary=True,
    require_tls=True,
    mechanisms=PASSWORD_MECHANISMS,
)
FEW = Offers(eight_bit=False)


def mail(text: str, offers: Offers = ALL) -> Sender:
    """Read MAIL's argument, with a small SIZE limit and under TLS."""
    return parse_mail(text.encode(), offers, Limits(message_size=1000), tls=True)


def rcpt(text: str, offers: Offers = ALL, *, smtputf8: bool = True) -> Recipient:
    """Read RCPT's argument."""
    return parse_rcpt(text.encode(), offers, smtputf8=smtputf8)


def refusal(text: str, offers: Offers = ALL, *, smtputf8: bool = True) -> str:
    """Code and enhanced code that an argument of MAIL or RCPT is refused with."""
    with pytest.raises(CommandFault) as fault:
        _ = rcpt(text, offers, smtputf8=smtputf8) if text[:2] == "TO" else mail(text, offers)
    return f"{fault.value.reply.code} {fault.value.reply.status}"


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("<a@b.example>", Address("a", "b.example")),
        ("<a.b+c=d@B.Example>", Address("a.b+c=d", "B.Example")),
        ('<"a b"@c.example>', Address("a b", "c.example")),
        (r'<"a\"\\b"@c.example>', Address('a"\\b', "c.example")),
        ('<"<>@,;:"@c.example>', Address("<>@,;:", "c.example")),
        ('<""@c.example>', Address("", "c.example")),
        ("<@one.example,@two.example:a@b.example>", Address("a", "b.example")),
        ("<a@[192.0.2.1]>", Address("a", "[192.0.2.1]")),
        ("<a@[IPv6:2001:db8::1]>", Address("a", "[IPv6:2001:db8::1]")),
        ("<müller@bücher.example>", Address("müller", "bücher.example")),
        ("<a@b--c.example>", Address("a", "b--c.example")),
        ("<a@1.2.3>", Address("a", "1.2.3")),
    ],
)
def test_paths(path: str, address: Address) -> None:
    """Paths of RFC 5321 §4.1.2 and RFC 6531 §3.3, in both commands."""
    assert mail(f"FROM:{path} SMTPUTF8").address == address
    assert mail(f"from: {path} SMTPUTF8").address == address
    assert rcpt(f"To:{path}").address == address


@pytest.mark.parametrize(
    "path",
    [
        "a@b.example",
        "<a@b.example",
        "a@b.example>",
        "<a@b.example>>",
        "<a>",
        "<@b.example>",
        "<a@>",
        "<a@b..example>",
        "<a@b.example.>",
        "<a@-b.example>",
        "<a@b-.example>",
        "<a@b_c.example>",
        "<.a@b.example>",
        "<a.@b.example>",
        "<a..b@c.example>",
        "<a b@c.example>",
        '<"a@b.example>',
        '<a"b"@c.example>',
        "<a@b@c.example>",
        "<a@[192.0.2.256]>",
        "<a@[192.0.2]>",
        "<a@[IPv6:2001:db8:::1]>",
        "<a@[IPv6:fe80::1%eth0]>",
        "<a@[x400:c=us]>",
        "<a@[]>",
        "<a@" + "b" * 64 + ".example>",
        "<a@" + "b." * 128 + "example>",
        "<@one.example:>",
        "< a@b.example>",
        "",
    ],
)
def test_bad_paths(path: str) -> None:
    """Anything else is refused with 501 (RFC 5321 §4.1.2)."""
    assert refusal(f"FROM:{path}").startswith("501 5.1.")
    assert refusal(f"TO:{path}").startswith("501 5.1.")


def test_null_sender_and_postmaster() -> None:
    """``<>`` is for MAIL alone, ``<Postmaster>`` for RCPT alone."""
    assert mail("FROM:<>").address is None
    assert rcpt("TO:<PostMaster>").address == Address("PostMaster", "")
    assert rcpt("TO:<postmaster@b.example>").address == Address("postmaster", "b.example")
    assert refusal("TO:<>") == "501 5.1.3"
    assert refusal("FROM:<Postmaster>") == "501 5.1.7"


def test_not_the_command() -> None:
    """Without FROM: or TO: the argument is no argument."""
    assert refusal("<a@b.example>") == "501 5.5.4"
    assert refusal("TO") == "501 5.5.4"


def test_mail_parameters() -> None:
    """Everything that the envelope has a place for."""
    sender = mail(
        "FROM:<a@b.example> size=1000 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=QQ+2B314159 "
        "AUTH=e+3Dmc2@b.example REQUIRETLS"
    )
    assert sender == Sender(
        Address("a", "b.example"),
        size=1000,
        body=BodyType.EIGHT_BIT,
        smtputf8=True,
        returned=Return.HEADERS,
        envid="QQ+314159",
        require_tls=True,
        auth="e=mc2@b.example",
    )
    assert mail("FROM:<> AUTH=<> BODY=BINARYMIME").auth == "<>"


def test_rcpt_parameters() -> None:
    """NOTIFY and ORCPT."""
    recipient = rcpt("TO:<a@b.example> NOTIFY=success,DELAY ORCPT=rfc822;c+2Bd@e.example")
    assert recipient.notify == {Notify.SUCCESS, Notify.DELAY}
    assert recipient.original == "rfc822;c+d@e.example"
    assert rcpt("TO:<a@b.example> NOTIFY=NEVER").notify == {Notify.NEVER}
    assert rcpt(r"TO:<a@b> ORCPT=utf-8;m\x{FC}ller@b").original == "utf-8;müller@b"
    assert rcpt("TO:<a@b> ORCPT=utf-8;müller@b").original == "utf-8;müller@b"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ("SIZE=1001", "552 5.3.4"),
        ("SIZE=" + "9" * 20, "552 5.3.4"),
        ("SIZE=" + "9" * 21, "501 5.5.4"),
        ("SIZE=-1", "501 5.5.4"),
        ("SIZE", "501 5.5.4"),
        ("SIZE=", "501 5.5.4"),
        ("SIZE=1 SIZE=1", "501 5.5.4"),
        ("BODY=9BIT", "501 5.5.4"),
        ("BODY", "501 5.5.4"),
        ("SMTPUTF8=1", "501 5.5.4"),
        ("REQUIRETLS=1", "501 5.5.4"),
        ("RET=ALL", "501 5.5.4"),
        ("RET=FULL RET=FULL", "501 5.5.4"),
        ("ENVID=", "501 5.5.4"),
        ("ENVID=+zz", "501 5.5.4"),
        ("ENVID=+0A", "501 5.5.4"),
        ("ENVID=" + "x" * 101, "501 5.5.4"),
        ("AUTH=+", "501 5.5.4"),
        ("=1", "501 5.5.4"),
        ("A=B=C", "501 5.5.4"),
        ("XYZZY", "555 5.5.4"),
        ("NOTIFY=NEVER", "555 5.5.4"),
    ],
)
def test_bad_mail_parameters(parameters: str, code: str) -> None:
    """Each wrong parameter has its own answer (RFC 5321 §4.1.1.11)."""
    assert refusal(f"FROM:<a@b.example> {parameters}") == code


@pytest.mark.parametrize(
    "parameters",
    [
        "NOTIFY",
        "NOTIFY=",
        "NOTIFY=NEVER,DELAY",
        "NOTIFY=DELAY,",
        "NOTIFY=DELAY NOTIFY=DELAY",
        "ORCPT=a@b",
        "ORCPT=rfc822;",
        "ORCPT=;a@b",
        "ORCPT=rfc822;+0D",
        "ORCPT=rfc822;m\u00fcller",
        "ORCPT=rfc822;" + "x" * 500,
    ],
)
def test_bad_rcpt_parameters(parameters: str) -> None:
    """Each wrong parameter is a syntax error (RFC 3461 §4.5)."""
    assert refusal(f"TO:<a@b.example> {parameters}") == "501 5.5.4"


@pytest.mark.parametrize(
    "parameter",
    ["BODY=8BITMIME", "SMTPUTF8", "RET=FULL", "ENVID=x", "AUTH=<>", "REQUIRETLS"],
)
def test_parameters_not_offered(parameter: str) -> None:
    """What EHLO does not name does not exist (RFC 5321 §4.1.1.11)."""
    assert refusal(f"FROM:<a@b.example> {parameter}", FEW) == "555 5.5.4"
    assert refusal("TO:<a@b.example> NOTIFY=NEVER", FEW) == "555 5.5.4"


def test_binary_needs_chunking() -> None:
    """BODY=BINARYMIME is none where it is not offered."""
    assert refusal("FROM:<> BODY=BINARYMIME", Offers(binary=True)) == "501 5.5.4"


def test_utf8_must_be_asked_for() -> None:
    """Non-ASCII addresses need SMTPUTF8 at MAIL (RFC 6531 §3.5)."""
    assert refusal("FROM:<ü@b.example>") == "550 5.6.7"
    assert refusal("TO:<ü@b.example>", smtputf8=False) == "553 5.6.7"
    with pytest.raises(CommandFault):
        parse_mail(b"FROM:<\xff@b.example> SMTPUTF8", ALL, Limits(), tls=True)


def test_hello() -> None:
    """A name, and what follows it passed over."""
    assert parse_hello(b"client.example") == "client.example"
    assert parse_hello(b"[192.0.2.1] what a client") == "[192.0.2.1]"
    assert parse_hello(b"under_score") == "under_score"
    for bad in (b"", b"\xff", b"a" * 256):
        with pytest.raises(CommandFault):
            parse_hello(bad)


def test_xtext() -> None:
    """RFC 3461 §4."""
    assert decode_xtext("a+2Bb+3D+C3+BC") == "a+b=ü"
    for bad in ("+", "+2b", "a=b", "a b", "+FF"):
        assert decode_xtext(bad) is None


def test_no_argument_is_slow() -> None:
    """Arguments made to be slow are read as fast as others."""
    start = perf_counter()
    for piece in ("a", "a.", "-a", '"', "\\", "a@", "@a,", "a-", "[", "ü.", "=", " a"):
        for head in ("<", "<@", "<a@", '<"', "<a@b> ", "<a@["):
            with pytest.raises(CommandFault):
                rcpt("TO:" + head + piece * 2000 + "\x01")
    assert perf_counter() - start < 2


@settings(max_examples=100)
@given(st.text(alphabet='<>@.:"\\[]aü1- =+', max_size=30))
def test_junk(text: str) -> None:
    """Whatever comes is read or refused, and what was read spells itself."""
    try:
        address = rcpt(f"TO:{text}").address
    except CommandFault:
        return
    assert rcpt(f"TO:<{address}>").address == address
