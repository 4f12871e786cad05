"""Tests for `mailplat.net.dane`: certificates against TLSA records."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.interfaces.resolver import TLSA
from mailplat.net.dane import DANE, names_match, proved_by, usable
from mailplat.testing.authority import MadeAuthority

HOST = ("mx.example",)
OLD = timedelta(days=-1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> MadeAuthority:
    """Who makes the certificates."""
    return MadeAuthority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_each_form(authority: MadeAuthority, tmp_path: Path, selector: int, matching: int) -> None:
    """The certificate or its key, whole or as a digest, of the server or of its authority."""
    issued = authority.issue("mx.example")
    stranger = MadeAuthority(tmp_path, "Stranger")
    theirs = stranger.issue("mx.example")
    for record, wrong in (
        (issued.tlsa(selector, matching), theirs.tlsa(selector, matching)),
        (authority.tlsa(selector, matching), stranger.tlsa(selector, matching)),
    ):
        assert usable(record)
        assert proved_by(issued.chain, DANE((record,), HOST))
        assert not proved_by(issued.chain, DANE((wrong,), HOST))
        assert proved_by(issued.chain, DANE((wrong, record), HOST))  # one of them is enough


def test_what_an_end_entity_need_not_be(authority: MadeAuthority) -> None:
    """Dates, names and authorities do not count for DANE-EE (RFC 7671 §5.1); they do for -TA."""
    for issued in (
        authority.issue("mx.example", lifetime=OLD),
        authority.issue("other.example"),
        authority.issue("mx.example", use=ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        assert proved_by(issued.chain, DANE((issued.tlsa(),), HOST))
        assert not proved_by(issued.chain, DANE((authority.tlsa(),), HOST))


def test_authorities(authority: MadeAuthority, tmp_path: Path) -> None:
    """The chain has to lead to the authority, which the server shows or the record holds."""
    stranger = MadeAuthority(tmp_path, "Stranger")
    issued, alone = authority.issue("mx.example"), authority.issue("mx.example", whole=False)
    theirs = stranger.issue("mx.example")
    # an authority that is shown but vouches for nothing
    assert not proved_by((*theirs.chain, issued.chain[1]), DANE((authority.tlsa(),), HOST))
    assert not proved_by(alone.chain, DANE((authority.tlsa(),), HOST))
    assert proved_by(alone.chain, DANE((authority.tlsa(0, 0),), HOST))
    assert not proved_by((), DANE((authority.tlsa(0, 0),), HOST))


@pytest.mark.parametrize(
    ("held", "common", "asked", "expected"),
    [
        (["mx.example"], "x", ["mx.example"], True),
        (["MX.Example"], "x", ["other", "mx.example"], True),
        (["*.example"], "x", ["mx.example"], True),
        (["*.example"], "x", ["a.mx.example"], False),
        (["m*.example"], "x", ["mx.example"], False),
        ([], "mx.example", ["mx.example"], True),
        (["other.example"], "mx.example", ["mx.example"], False),
    ],
)
def test_names(
    authority: MadeAuthority, held: list[str], common: str, asked: list[str], expected: bool
) -> None:
    """A star is a whole label; the common name counts where there is no other."""
    assert names_match(authority.issue(*held, common=common).certificate, asked) is expected


@pytest.mark.parametrize(
    "record",
    [
        TLSA(0, 1, 1, b"x" * 32),
        TLSA(1, 1, 1, b"x" * 32),
        TLSA(4, 1, 1, b"x" * 32),
        TLSA(3, 2, 1, b"x" * 32),
        TLSA(3, 1, 3, b"x" * 32),
        TLSA(3, 1, 1, b"x" * 31),
        TLSA(3, 1, 2, b"x" * 32),
        TLSA(3, 1, 0, b""),
        TLSA(2, 0, 0, b"no certificate"),
        TLSA(255, 255, 255, b""),
    ],
)
def test_unusable(record: TLSA) -> None:
    """PKIX usages and what is malformed prove nothing to SMTP (RFC 7672 §3.1.3)."""
    assert not usable(record)


@given(st.builds(TLSA, *[st.integers(0, 4)] * 3, st.binary(max_size=70)))
@settings(max_examples=50)
def test_any_record(authority: MadeAuthority, record: TLSA) -> None:
    """No record that is not made of a certificate fits one."""
    usable(record)
    assert not proved_by(authority.issue("mx.example").chain, DANE((record,), HOST))
