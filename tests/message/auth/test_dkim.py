"""Tests for `mailplat.message.auth.dkim` and `.dkim_signing`: against dkimpy, both ways."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import dkim as oracle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailplat.message import headers
from mailplat.message.auth import dkim_signing
from mailplat.message.auth.canonical import BodyHash, Canonicalisation
from mailplat.message.auth.dkim import Limits, Verified, Verifier, read_signature
from mailplat.message.auth.dkim_signing import NAME, Signer
from mailplat.message.auth.keys import KeyFault, load_private_key
from mailplat.message.auth.result import Result

SIMPLE, RELAXED = Canonicalisation.SIMPLE, Canonicalisation.RELAXED
HEADER = (
    b"Received: from a by b; today\r\n"
    b"From: Alice <alice@example.org>\r\n"
    b"To: bob@example.net,\r\n\tcarol@example.com \r\n"
    b"Subject:  two   blanks\t \r\n"
    b"Date: Thu, 01 Jan 2026 12:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n\r\n"
)
BODY = b"Hello  there,\t\r\n\r\n  it is me.\r\n\r\n\r\n"
LIMITS = Limits()
NOW = 1_767_268_800
FORMS = [(one, other) for one in (SIMPLE, RELAXED) for other in (SIMPLE, RELAXED)]


class Desk:
    """Signs and verifies."""

    def __init__(self, pair: Any, run: Any, texts: Any) -> None:
        self.pair, self.run, self.texts = pair, run, texts
        self.zone: dict[str, Any] = {}

    def signed(
        self, header: bytes = HEADER, body: bytes = BODY, kind: str = "rsa", **options: Any
    ) -> bytes:
        """Sign a message as example.org, and put the key into the DNS."""
        key = self.pair(kind, options.pop("bits", 2048))
        signer = Signer("example.org", kind, key.private, **options)
        self.zone[f"{kind}._domainkey.example.org"] = key.record
        digest = BodyHash(signer.body_form)
        digest.receive(body)
        field = headers.field(NAME, signer.sign(header, digest.finish(), NOW))
        return bytes(field + header + body)

    def verify(self, message: bytes, limits: Limits = LIMITS, cut: int = 65536) -> Any:
        """Verify a message whose body comes in blocks of that size."""
        header, body = headers.split(message)
        verifier = Verifier(header, limits)
        for at in range(0, len(body), cut):
            verifier.receive(body[at : at + cut])
        return self.run(verifier.results(self.texts(self.zone), NOW))

    def one(self, message: bytes, limits: Limits = LIMITS) -> Verified:
        """Verify a message that has one signature."""
        (verified,) = self.verify(message, limits)
        assert isinstance(verified, Verified)
        return verified

    def record(self, name: Any, **_: Any) -> Any:
        """Answer dkimpy's questions to the DNS."""
        text = name.decode() if isinstance(name, bytes) else name
        return self.zone.get(text.rstrip("."))


@pytest.fixture
def desk(pair: Any, run: Any, texts: Any) -> Desk:
    """Signs and verifies, with keys in a DNS."""
    return Desk(pair, run, texts)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@pytest.mark.parametrize(("header_form", "body_form"), FORMS)
def test_signs(
    desk: Desk, kind: str, header_form: Canonicalisation, body_form: Canonicalisation
) -> None:
    """What we sign holds, for us and for dkimpy."""
    message = desk.signed(kind=kind, header_form=header_form, body_form=body_form)
    verified = desk.one(message)
    assert verified.result is Result.PASS, verified
    assert (verified.domain, verified.selector) == ("example.org", kind)
    assert verified.algorithm == f"{kind}-sha256"
    assert verified.identity == "@example.org"
    assert f"b= {verified.start}" in headers.unfold(message[:2000]).decode()
    assert oracle.verify(message, dnsfunc=desk.record)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@pytest.mark.parametrize(("header_form", "body_form"), FORMS)
@pytest.mark.parametrize("length", [False, True])
def test_verifies_dkimpy(
    desk: Desk,
    kind: str,
    header_form: Canonicalisation,
    body_form: Canonicalisation,
    length: bool,
) -> None:
    """What dkimpy signs holds for us."""
    key = desk.pair(kind)
    desk.zone["sel._domainkey.example.org"] = key.record
    signature = oracle.sign(
        HEADER + BODY,
        b"sel",
        b"example.org",
        key.pem if kind == "rsa" else b64encode(key.private.key.private_bytes_raw()),
        canonicalize=(header_form.value.encode(), body_form.value.encode()),
        length=length,
        signature_algorithm=f"{kind}-sha256".encode(),
    )
    assert desk.one(signature + HEADER + BODY).result is Result.PASS


PIECES = st.lists(
    st.sampled_from([b"\r\n", b"\r\n\r\n", b" ", b"\t", b"  \t ", b"\r", b"a", b"b c", b"=", b";"]),
    max_size=40,
).map(b"".join)
WORDS = st.lists(
    st.sampled_from([b" ", b"\t", b"\r\n ", b"\r\n\tx", b"x", b"b=1", b";", b":", b"\xe9", b"<>"]),
    max_size=12,
).map(b"".join)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(PIECES, WORDS, st.sampled_from(FORMS), st.integers(1, 50))
def test_nasty_messages(desk: Desk, text: bytes, words: bytes, forms: Any, cut: int) -> None:
    """Both ways, whatever the fields and the body are."""
    body = text + b"\r\n"
    header = b"Subject:" + words + b"\r\n" + HEADER
    message = desk.signed(header, body, header_form=forms[0], body_form=forms[1])
    assert [one.result for one in desk.verify(message, cut=cut)] == [Result.PASS]
    assert oracle.verify(message, dnsfunc=desk.record)
    key = desk.pair("rsa")
    signature = oracle.sign(
        header + body,
        b"rsa",
        b"example.org",
        key.pem,
        canonicalize=(forms[0].value.encode(), forms[1].value.encode()),
    )
    assert desk.one(signature + header + body).result is Result.PASS


def test_ed25519_of_the_rfc(desk: Desk) -> None:
    """The example of RFC 8463 Appendix A holds, with both of its signatures."""
    desk.zone |= {
        "brisbane._domainkey.football.example.com": b"v=DKIM1; k=ed25519; "
        b"p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "test._domainkey.football.example.com": b"v=DKIM1; k=rsa; "
        b"p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2"
        b"jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9"
        b"PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB",
    }
    verified = desk.verify(RFC_8463)
    assert [(one.result, one.algorithm) for one in verified] == [
        (Result.PASS, "ed25519-sha256"),
        (Result.PASS, "rsa-sha256"),
    ]


RFC_8463 = b"""DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Make a change of a message."""

    def change(message: bytes) -> bytes:
        assert old in message
        return message.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "result", "reason"),
    [
        (replaced(b"Hello", b"Hallo"), Result.FAIL, "body hash did not verify"),
        (replaced(b"two", b"2"), Result.FAIL, "signature did not verify"),
        (replaced(b"To: b", b"Cc: x\r\nTo: b"), Result.FAIL, "signature did not verify"),
        (replaced(b"\r\nFrom:", b"\r\nFrom: x@y\r\nFrom:"), Result.FAIL, "signature did not"),
        (replaced(b"v=1", b"v=2"), Result.NEUTRAL, "version"),
        (replaced(b"a=rsa-sha256", b"a=rsa-sha1"), Result.PERMERROR, "too weak"),
        (replaced(b"h=from: from", b"h=froh: froh"), Result.PERMERROR, "From is not signed"),
        (replaced(b"d=example.org", b"d=exa mple"), Result.NEUTRAL, "cannot be read"),
        (replaced(b"d=example.org;", b""), Result.PERMERROR, "lacks a tag"),
        (replaced(b"d=example.org", b"d=example.org; d=x"), Result.NEUTRAL, "cannot be read"),
        (replaced(b"s=rsa", b"s=rsa; i=@example.net"), Result.PERMERROR, "identity"),
        (replaced(b"s=rsa", b"s=rsa; q=web"), Result.PERMERROR, "DNS"),
        (replaced(b"s=rsa", b"s=rsa; l=x"), Result.NEUTRAL, "cannot be read"),
        (replaced(b"s=rsa", b"s=rsa; l=99999"), Result.FAIL, "shorter"),
        (replaced(b"s=rsa", b"s=rsa; x=1"), Result.NEUTRAL, "cannot be read"),
        (replaced(b"s=rsa", b"s=other"), Result.PERMERROR, "no key"),
        (replaced(b"c=relaxed", b"c=tight"), Result.NEUTRAL, "cannot be read"),
        (replaced(b"bh=", b"bh=!"), Result.NEUTRAL, "cannot be read"),
        (replaced(b"v=1;", b"v=1;;"), Result.NEUTRAL, "cannot be read"),
        (replaced(b"v=1;", b"v=1; n=\xff;"), Result.NEUTRAL, "cannot be read"),
    ],
)
def test_what_does_not_hold(
    desk: Desk, change: Callable[[bytes], bytes], result: Result, reason: str
) -> None:
    """A changed message or signature has a result and a reason, and never passes."""
    verified = desk.one(change(desk.signed()))
    assert (verified.result, reason in verified.reason) == (result, True), verified


@pytest.mark.parametrize(
    ("record", "result", "reason"),
    [
        (None, Result.TEMPERROR, "for now"),
        (b"v=DKIM1; p=", Result.PERMERROR, "revoked"),
        (b"v=DKIM2; p=", Result.PERMERROR, "version"),
        (b"p=; v=DKIM1", Result.PERMERROR, "version"),
        (b"hello", Result.PERMERROR, "cannot be read"),
        (b"k=rsa; p=AAAA", Result.PERMERROR, "key cannot be read"),
        (b"k=dsa; p=AAAA", Result.PERMERROR, "unknown kind"),
        ([b"k=dsa; p=AAAA", b"x"], Result.PERMERROR, "cannot be read"),
        (b"p=" + b"A" * 9000, Result.PERMERROR, "too long"),
    ],
)
def test_key_records(desk: Desk, record: Any, result: Result, reason: str) -> None:
    """A key that cannot be used or asked for never lets a signature pass."""
    message = desk.signed()
    desk.zone["rsa._domainkey.example.org"] = record
    verified = desk.one(message)
    assert (verified.result, reason in verified.reason) == (result, True), verified


@pytest.mark.parametrize(
    ("tags", "result"),
    [
        (b"h=sha1", Result.PERMERROR),
        (b"h=sha1:sha256", Result.PASS),
        (b"s=tlsrpt", Result.PERMERROR),
        (b"s=email", Result.PASS),
        (b"t=y:s", Result.PASS),
        (b"n=words; g=*", Result.PASS),
    ],
)
def test_key_tags(desk: Desk, tags: bytes, result: Result) -> None:
    """A key's restrictions are obeyed (RFC 6376 §3.6.1)."""
    message = desk.signed()
    desk.zone["rsa._domainkey.example.org"] += b"; " + tags
    verified = desk.one(message)
    assert verified.result is result
    assert verified.testing is (tags == b"t=y:s")


def test_second_record(desk: Desk) -> None:
    """Of several records the first that will do is taken, within the limit."""
    message = desk.signed()
    name = "rsa._domainkey.example.org"
    good = desk.zone[name]
    desk.zone[name] = [b"x", good]
    assert desk.one(message).result is Result.PASS
    desk.zone[name] = [b"x"] * 3 + [good]
    assert desk.one(message).result is Result.PERMERROR


def test_short_key(desk: Desk) -> None:
    """An RSA key that is too short counts for nothing."""
    message = desk.signed(bits=1024)
    assert desk.one(message).result is Result.PASS
    verified = desk.one(message, Limits(key_bits=2048))
    assert (verified.result, verified.reason) == (Result.POLICY, "key is too short")


def test_expiry(desk: Desk) -> None:
    """A signature counts until it expires."""
    message = desk.signed(lasts=60)
    assert desk.one(message).result is Result.PASS
    header, body = headers.split(message)
    verifier = Verifier(header)
    verifier.receive(body)
    (verified,) = desk.run(verifier.results(desk.texts(desk.zone), NOW + 61))
    assert (verified.result, verified.reason) == (Result.FAIL, "signature expired")


def test_partial_body(desk: Desk) -> None:
    """What was added behind the signed part of a body spoils it, unless that is allowed."""
    key = desk.pair("rsa")
    desk.zone["sel._domainkey.example.org"] = key.record
    signature = oracle.sign(HEADER + BODY, b"sel", b"example.org", key.pem, length=True)
    added = signature + HEADER + BODY + b"Buy!\r\n"
    assert oracle.verify(added, dnsfunc=desk.record)
    assert desk.one(added).result is Result.POLICY
    assert desk.one(added, Limits(partial_bodies=True)).result is Result.PASS


def test_from_on_top(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A From that a signature does not cover spoils it: readers would show that one."""
    monkeypatch.setattr(dkim_signing, "SIGNED", ())
    monkeypatch.setattr(dkim_signing, "SIGNED_IF_THERE", (b"from",))
    message = desk.signed()
    assert desk.one(message).result is Result.PASS
    verified = desk.one(b"From: eve@example.com\r\n" + message)
    assert (verified.result, "not signed" in verified.reason) == (Result.POLICY, True)


def test_limits(desk: Desk) -> None:
    """Only so many signatures are looked at; no signature, no work."""
    message = desk.signed()
    many = message[: message.index(b"Received")] * 12 + HEADER + BODY
    assert len(desk.verify(many)) == 10
    assert not Verifier(HEADER).needs_body
    assert desk.verify(HEADER + BODY) == ()
    assert desk.verify(message, Limits(header=500)) == ()


def test_findings(desk: Desk) -> None:
    """What Authentication-Results says is made of the signature's tags."""
    finding = desk.one(desk.signed()).finding
    assert (finding.method, finding.result) == ("dkim", Result.PASS)
    assert dict(finding.properties)["header.d"] == "example.org"
    assert set(dict(finding.properties)) == {f"header.{tag}" for tag in "disab"}


@given(st.binary(max_size=80))
def test_any_signature_field(value: bytes) -> None:
    """No field raises."""
    value = value.replace(b"\n", b"")
    Verifier(b"DKIM-Signature: v=1; a=rsa-sha256; " + value + b"\r\nFrom: x\r\n")


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"])
def test_private_keys(pem: bytes) -> None:
    """What is no private key is told so."""
    with pytest.raises(KeyFault):
        load_private_key(pem)


def test_pkcs1_record(desk: Desk) -> None:
    """A key may also be written as RFC 6376 says and few do: without its algorithm."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    message = desk.signed()
    public = desk.pair("rsa").private.key.public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    desk.zone["rsa._domainkey.example.org"] = b"p=" + b64encode(der)
    assert desk.one(message).result is Result.PASS


@pytest.mark.parametrize(
    ("written", "identity"),
    [
        (b"a=3Db@example.org", "a=b@example.org"),
        (b"a=20b@ example.org", "a b@example.org"),
        (b"=C3=BC@example.org", "\u00fc@example.org"),
        (b"a=xx@example.org", "a=xx@example.org"),
        (b"", "@example.org"),
    ],
)
def test_identities(written: bytes, identity: str) -> None:
    """Whom a signature is for is written in quoted-printable."""
    value = b"v=1; a=rsa-sha256; d=example.org; s=s; h=from; bh=AA==; b=AA==; i=" + written
    assert read_signature(value).identity == identity
