"""Tests for `mailplat.config.values`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.config.values import (
    Duration,
    PartText,
    Size,
    Unfit,
    read_address,
    read_domain,
    read_duration,
    read_endpoint,
    read_network,
    read_part,
    read_size,
    spell_duration,
    spell_size,
    split_part,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(30, 30.0), (0.5, 0.5), ("30s", 30.0), ("250ms", 0.25), ("1h30m", 5400.0), ("5d", 432000.0)],
)
def test_durations(written: object, seconds: float) -> None:
    """A duration is a number of seconds, or numbers with units."""
    assert read_duration(written) == seconds


@pytest.mark.parametrize("written", [True, -1, "30", "s", "5 parsecs", "", [30], "1h 5x", 1e300])
def test_no_durations(written: object) -> None:
    """Anything else is refused, a number in quotes without its unit too."""
    with pytest.raises(Unfit, match="a duration"):
        read_duration(written)


@pytest.mark.parametrize(
    ("written", "count"),
    [(1000, 1000), ("64KiB", 65536), ("50 MiB", 52428800), ("2GB", 2 * 10**9), ("7", 7)],
)
def test_sizes(written: object, count: int) -> None:
    """A size is a number of bytes, or a number with a unit."""
    assert read_size(written) == count


@pytest.mark.parametrize("written", [True, -1, 1.5, "MiB", "1.5GiB", "5mib", {}])
def test_no_sizes(written: object) -> None:
    """Anything else is refused."""
    with pytest.raises(Unfit, match="a size"):
        read_size(written)


@given(st.integers(0, 10**9))
def test_spelled_durations_read_back(thousandths: int) -> None:
    """A duration survives being spelled."""
    value = Duration(thousandths / 1000)
    assert read_duration(spell_duration(value)) == value


@given(st.integers(0, 2**50) | st.integers(0, 2**20).map(lambda n: n * 1024))
def test_spelled_sizes_read_back(count: int) -> None:
    """A size survives being spelled."""
    assert read_size(spell_size(Size(count))) == count


def test_addresses() -> None:
    """An address is given its shortest spelling; a name is none."""
    assert read_address("::0001") == "::1"
    assert read_address("[::1]") == "::1"
    for wrong in ("localhost", "300.1.1.1", "", 25):
        with pytest.raises(Unfit):
            read_address(wrong)


def test_domains() -> None:
    """A domain is kept in lower case without its root's dot."""
    assert read_domain("Example.ORG.") == "example.org"
    assert read_domain("bücher.example") == "bücher.example"
    for wrong in ("", ".", "a..b", "-a.example", "a b", "a" * 64, 3, "x@example.org"):
        with pytest.raises(Unfit):
            read_domain(wrong)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "tcp:25",
        "tcp:port=25:interface=127.0.0.1",
        "tcp6:25:interface=\\:\\:1",
        "unix:/run/lmtp.sock:mode=660",
        "systemd:domain=INET:index=0",
        "haproxy:tcp:25",
    ],
)
def test_endpoints(written: str) -> None:
    """Descriptions of Twisted's endpoints are taken, those of plugins too."""
    assert read_endpoint(written) == written


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("25", "an endpoint"),
        ("tcp", "an endpoint"),
        ("tcp:smtp", "a port"),
        ("tcp:70000", "a port"),
        ("tcp:25:interface=::1", "an IPv4 address"),
        ("tcp6:25:interface=127.0.0.1", "an IPv6 address"),
        ("ssl:993", "without TLS"),
        (25, "an endpoint"),
    ],
)
def test_no_endpoints(written: object, expected: str) -> None:
    """What cannot be listened on is refused with what was expected."""
    with pytest.raises(Unfit, match=expected):
        read_endpoint(written)


def test_parts() -> None:
    """A part has a prefix and a colon; its argument is the plugin's business."""
    assert split_part(read_part("sql:sqlite:///a")) == ("sql", "sqlite:///a")
    assert split_part(PartText("memory:")) == ("memory", "")
    for wrong in ("/var/mail", "memory", ":x", 3):
        with pytest.raises(Unfit):
            read_part(wrong)


def test_networks() -> None:
    """A prefix, or one address; bits behind the prefix are a mistake."""
    assert read_network("192.0.2.0/24") == "192.0.2.0/24"
    assert read_network(" 2001:DB8::/32 ") == "2001:db8::/32"
    assert read_network("192.0.2.7") == "192.0.2.7"
    assert read_network("2001:db8::1/128") == "2001:db8::1"
    for wrong in ("192.0.2.1/24", "192.0.2", "", "mail.example.org", 7, None):
        with pytest.raises(Unfit):
            read_network(wrong)
