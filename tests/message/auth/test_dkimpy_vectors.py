"""The signed messages and keys that dkimpy's sources bring, where they are found.

They are not ours to carry: set MAILPLAT_DKIM_VECTORS to the folder dkim/tests/data of its sources.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dkim as oracle
import pytest

from mailplat.message import headers
from mailplat.message.auth.canonical import BodyHash, Canonicalisation
from mailplat.message.auth.dkim import Limits, Verified, Verifier
from mailplat.message.auth.dkim_signing import NAME, Signer
from mailplat.message.auth.keys import load_private_key
from mailplat.message.auth.result import Result

VECTORS = os.environ.get("MAILPLAT_DKIM_VECTORS", "")
pytestmark = pytest.mark.skipif(not VECTORS, reason="MAILPLAT_DKIM_VECTORS is not set")

RFC8463 = b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
FORMS = [(one, two) for one in Canonicalisation for two in Canonicalisation]


def data(name: str) -> bytes:
    """Read one of the files, with the line ends that mail has."""
    return (Path(VECTORS) / name).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def record(name: str) -> bytes:
    """Read a key record."""
    return data(name).replace(b"\r\n", b"").strip()


def verified(message: bytes, zone: dict[str, bytes], run: Any, texts: Any) -> list[Verified]:
    """Verify all signatures."""
    header, body = headers.split(message)
    verifier = Verifier(header, Limits(key_bits=512))
    verifier.receive(body)
    return list(run(verifier.results(texts(zone), 1_600_000_000)))


def signed(message: bytes, signer: Signer) -> bytes:
    """Sign a message."""
    header, body = headers.split(message)
    digest = BodyHash(signer.body_form)
    digest.receive(body)
    return headers.field(NAME, signer.sign(header, digest.finish(), 1_500_000_000)) + message


@pytest.mark.parametrize(
    ("name", "algorithms"),
    [
        ("rfc6376.signed.msg", ["ed25519-sha256", "rsa-sha256"]),
        ("rfc6376.signed.rsa.msg", ["rsa-sha256"]),
        ("rfc6376.signed.no_t.msg", []),  # its t= was taken out after it was signed
    ],
)
def test_signed_messages(name: str, algorithms: list[str], run: Any, texts: Any) -> None:
    """The signatures of these messages hold, and not those of a changed one."""
    zone = {
        "brisbane._domainkey.football.example.com": RFC8463,
        "test._domainkey.football.example.com": record("test.txt"),
    }
    found = verified(data(name), zone, run, texts)
    assert [(one.result, one.algorithm) for one in found if one.result is Result.PASS] == [
        (Result.PASS, algorithm) for algorithm in algorithms
    ], found
    changed = verified(data(name) + b"x", zone, run, texts)
    assert all(one.result is Result.FAIL for one in changed)


@pytest.mark.parametrize(
    ("key", "public", "message"),
    [
        ("test.private", "test.txt", "test.message"),
        ("test.private", "test.txt", "rfc6376.w1258.msg"),
        ("test.private", "test.txt", "test_extra.message"),
        ("test2.private", "test2.txt", "test2.message"),
        ("1024_testkey.key", "1024_testkey_wo_markers.pub.txt", "test.message"),
        ("1024_testkey.key", "1024_testkey_wo_markers.pub.rsa.txt", "test.message"),
        ("2048_testkey.key", "2048_testkey_wo_markers.pub.txt", "test.message"),
        ("2048_testkey.key", "2048_testkey_wo_markers.pub.rsa.txt", "test.message"),
        ("2048_testkey_PKCS8.key", "2048_testkey_PKCS8.key.pub.txt", "test.message"),
    ],
)
@pytest.mark.parametrize("forms", FORMS)
def test_keys(key: str, public: str, message: str, forms: Any, run: Any, texts: Any) -> None:
    """Each kind of key signs for dkimpy and for us, and either verifies the other's."""
    pem, zone = (Path(VECTORS) / key).read_bytes(), {"sel._domainkey.example.com": record(public)}
    text = data(message)
    theirs = oracle.sign(
        text, b"sel", b"example.com", pem, canonicalize=tuple(one.encode() for one in forms)
    )
    assert verified(theirs + text, zone, run, texts)[0].result is Result.PASS
    ours = signed(text, Signer("example.com", "sel", load_private_key(pem), *forms))
    assert verified(ours, zone, run, texts)[0].result is Result.PASS
    asked = lambda name, **_: zone[name.decode().rstrip(".")]  # noqa: E731
    assert oracle.verify(ours, dnsfunc=asked, minkey=512)


@pytest.mark.parametrize("public", ["badversion.txt", "badk.txt", "test_bad.txt"])
def test_bad_records(public: str, run: Any, texts: Any) -> None:
    """With such a record no signature holds."""
    text = data("test.message")
    signer = Signer("example.com", "sel", load_private_key(data("test.private")))
    zone = {"sel._domainkey.example.com": record(public)}
    (found,) = verified(signed(text, signer), zone, run, texts)
    assert found.result in (Result.PERMERROR, Result.FAIL)


def test_a_domain_that_is_none(run: Any, texts: Any) -> None:
    """Signatures whose domain cannot be one are not asked for."""
    (found,) = verified(data("test.message.baddomain"), {}, run, texts)
    assert found.result is not Result.PASS
