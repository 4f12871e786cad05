"""The relay against servers that stall, lie, talk nonsense and attack, over real sockets and TLS.

Whatever they do, mail is delivered once, deferred or bounced, and memory is bounded.
"""

from __future__ import annotations

import resource
from typing import Any

import pytest
import pytest_twisted

from mailplat.agents.tls_demands import TLSEntry, TLSPolicy
from mailplat.interfaces.resolver import TLSA
from mailplat.testing.scripted_server import HANG_UP, STALL

DELIVERED = ("Delivered", "")
STEPS = ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "END"]
ENDLESS = "250-" + "x" * 4_000_000
MANY_LINES = "250-x\r\n" * 200_000 + "250 x"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "said",
    [
        "\x00\xff\x16\x03",
        "",
        "hello\r\n250 ok",
        "999 ok",
        "250",
        "250-ok\r\n354 go",
        ENDLESS,
        MANY_LINES,
    ],
    ids=["binary", "empty", "words", "999", "bare", "mixed", "endless", "lines"],
)
@pytest_twisted.ensureDeferred
async def test_nonsense(relayed: Any, step: str, said: str) -> None:
    """What is no reply ends the connection; the mail waits, or was delivered by a good 250."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    server = await relayed.server(None)
    server.script[step] = [said]
    kind, status = await relayed.send()
    if said == "250" and step not in {"GREETING", "DATA"}:
        assert kind == "Delivered"  # a code alone is a reply (RFC 5321 §4.2.1)
    else:
        assert (kind, status[:2]) == ("Deferred", "4.")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("end", [HANG_UP, STALL])
@pytest_twisted.ensureDeferred
async def test_gone_or_silent(relayed: Any, step: str, end: str) -> None:
    """Who is gone or silent gets the mail again later; nothing is sent twice in one attempt."""
    server = await relayed.server(None)
    server.script[step] = [end]
    kind, status = await relayed.send()
    assert (kind, status[:2]) == ("Deferred", "4.")
    assert server.connections == 1


@pytest_twisted.ensureDeferred
async def test_accepts_and_drops(relayed: Any) -> None:
    """A server that took the message and hangs up may have it: no other server is tried."""
    relayed.names.mx("dest.example", "mx.dest.example", "b.dest.example")
    relayed.names.a("b.dest.example", "192.0.2.2")
    first = await relayed.server(None)
    second = await relayed.server(None, address="192.0.2.2")
    first.script["END"] = [HANG_UP]
    assert (await relayed.send())[0] == "Deferred"
    assert (first.connections, second.connections) == (1, 0)
    first.script["RCPT"] = [HANG_UP]  # it surely has not: the next one is tried
    assert await relayed.send() == DELIVERED
    assert len(second.messages) == 1


@pytest_twisted.ensureDeferred
async def test_hangs_in_tls(relayed: Any) -> None:
    """A handshake that stalls ends; opportunistic mail then goes in clear, other mail waits."""
    server = await relayed.server(relayed.authority.issue("mx.dest.example"))
    server.tls = None  # it says 220, and nothing more
    required = {"dest.example": TLSEntry(TLSPolicy.REQUIRED)}
    assert await relayed.send(tls_entries=required) == ("Deferred", "4.7.5")
    relayed.names.tlsa("_25._tcp.mx.dest.example", TLSA(3, 1, 1, b"x" * 32))
    assert await relayed.send() == ("Deferred", "4.7.5")
    assert not server.messages
    assert await relayed.send(dane=False) == DELIVERED
    assert len(server.messages) == 1


@pytest.mark.parametrize(
    "injected",
    ["250-mx.example\r\n250 AUTH PLAIN", "250 ok\r\n" * 5 + "250 ok", "421 go away"],
)
@pytest_twisted.ensureDeferred
async def test_plaintext_behind_starttls(relayed: Any, injected: str) -> None:
    """What came in clear behind the answer to STARTTLS is nothing said over TLS (RFC 3207 §4.2)."""
    server = await relayed.server(relayed.authority.issue("mx.dest.example"))
    server.script["STARTTLS"] = [f"220 go\r\n{injected}"]
    verified = {"dest.example": TLSEntry(TLSPolicy.VERIFIED)}
    assert await relayed.send(tls_entries=verified) == DELIVERED
    # each answer belongs to its command: EHLO was said anew, and answered anew
    verbs = [line.split()[0] for line in server.commands]
    assert verbs[:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]
    assert len(server.messages) == 1


@pytest_twisted.ensureDeferred
async def test_starttls_is_taken_away(relayed: Any) -> None:
    """Who cuts STARTTLS out of what is offered gets nothing that has to be protected."""
    server = await relayed.server(relayed.authority.issue("mx.dest.example"))
    server.offers = ("PIPELINING", "XXXXXXXA")
    for tls in (TLSPolicy.REQUIRED, TLSPolicy.VERIFIED):
        entries = {"dest.example": TLSEntry(tls)}
        assert await relayed.send(tls_entries=entries) == ("Deferred", "4.7.4")
    assert not any(line.startswith("MAIL") for line in server.commands)
