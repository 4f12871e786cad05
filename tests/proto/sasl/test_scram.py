"""Tests for SCRAM: `mailplat.proto.sasl.scram_server` against the RFCs' and our own client."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.model.credentials import Denied, ScramKeys, ScramProof, ScramRequest
from mailplat.proto.sasl import scram
from mailplat.proto.sasl.exchange import Challenge, Failed, Failure, begin, go_on, respond
from mailplat.proto.sasl.scram_client import Derivation, ScramClient, ServerNotProved
from mailplat.proto.sasl.scram_server import ScramExchange

REFUSED, MALFORMED = Failed(Failure.REFUSED), Failed(Failure.MALFORMED)

VECTORS = [
    # RFC 5802 §5 and RFC 7677 §3: password "pencil"
    (
        "SCRAM-SHA-1",
        "3rfcNHYJY1ZVvWVs7j",
        b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    (
        "SCRAM-SHA-256",
        "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
]

SALT = b"0123456789abcdef"
BINDINGS = {"tls-exporter": b"\x01" * 32, "tls-server-end-point": b"\x02" * 32}
KEYS = {name: scram.keys_of(name, "pencil", SALT, 4096) for name in scram.HASHES}
OTHER = scram.keys_of("SCRAM-SHA-256", "other", SALT, 4096)


@pytest.mark.parametrize(("name", "nonce", "first", "challenge", "final", "proof"), VECTORS)
def test_vectors(
    name: str, nonce: str, first: bytes, challenge: bytes, final: bytes, proof: bytes
) -> None:
    """The examples of the RFCs, byte for byte, for either side."""
    salt = b64decode(challenge.split(b",s=")[1].split(b",")[0])
    exchange = ScramExchange(name, nonce)
    assert exchange.start(None) == Challenge(b"")
    assert exchange.receive(first) == ScramRequest("user", name)
    assert exchange.answer(scram.keys_of(name, "pencil", salt, 4096)) == Challenge(challenge)
    assert exchange.receive(final) == Challenge(proof)
    assert exchange.receive(b"") == ScramProof("user", True)
    client = ScramClient(name, "user", "pencil", first.partition(b"r=")[2].decode())
    assert client.start() == first
    derivation = client.receive(challenge)
    assert isinstance(derivation, Derivation)
    assert client.derived(derivation.derive()) == final
    assert not client.complete
    assert client.receive(proof) == b""
    assert client.complete


def talk(
    client: ScramClient, exchange: ScramExchange, keys: ScramKeys = KEYS["SCRAM-SHA-256"]
) -> Any:
    """Carry messages between both sides, as lines; give the server's last step."""
    step = begin(exchange, b64encode(client.start()))
    while True:
        if isinstance(step, ScramRequest):
            step = go_on(exchange, keys)
        elif isinstance(step, Challenge):
            answer = client.receive(step.data)
            if isinstance(answer, Derivation):
                answer = client.derived(answer.derive())
            step = respond(exchange, b64encode(answer))
        else:
            return step


def server(**options: Any) -> ScramExchange:
    """A server's exchange."""
    return ScramExchange("SCRAM-SHA-256", "servernonce", **options)


def client(password: str = "pencil", **options: Any) -> ScramClient:
    """A client's exchange."""
    return ScramClient("SCRAM-SHA-256", "user", password, "clientnonce", **options)


@pytest.mark.parametrize("name", list(BINDINGS))
def test_channel_binding(name: str) -> None:
    """With -PLUS both ends have to see the same TLS connection."""
    binding = (name, BINDINGS[name])
    exchange = server(bindings=BINDINGS, plus=True, plus_offered=True)
    assert talk(client(binding=binding), exchange) == ScramProof("user", True)
    exchange = server(bindings=BINDINGS, plus=True, plus_offered=True)
    step = talk(client(binding=(name, b"\x03" * 32)), exchange)
    assert step == ScramProof("user", False)
    exchange = server(bindings={"else": b"x"}, plus=True, plus_offered=True)
    assert talk(client(binding=binding), exchange) == REFUSED


def test_downgrade_is_refused() -> None:
    """A client that can bind and saw no -PLUS, where there is one, was lied to (RFC 5802 §6)."""
    step = talk(client(could_bind=True), server(bindings=BINDINGS, plus_offered=True))
    assert step == REFUSED
    assert talk(client(could_bind=True), server()) == ScramProof("user", True)
    assert talk(client(), server(bindings=BINDINGS, plus_offered=True)) == ScramProof("user", True)


@pytest.mark.parametrize("flag", [b"n", b"y"])
def test_plus_needs_a_binding(flag: bytes) -> None:
    """-PLUS without a binding, and a binding without -PLUS, are refused."""
    exchange = server(bindings=BINDINGS, plus=True)
    assert exchange.start(flag + b",,n=user,r=x") == REFUSED
    assert server(bindings=BINDINGS).start(b"p=tls-exporter,,n=user,r=x") == REFUSED


def test_wrong_passwords_and_names_look_alike() -> None:
    """A wrong password goes all the way, and gets no proof of the server."""
    asked = client("wrong")
    assert talk(asked, server()) == ScramProof("user", False)
    assert not asked.complete
    assert talk(client(authzid="someone, else"), server()) == ScramProof(
        "user", True, "someone, else"
    )


def test_wrong_nonce() -> None:
    """The nonce of another exchange proves nothing."""
    exchange, asked = server(), client()
    exchange.start(asked.start())
    exchange.answer(KEYS["SCRAM-SHA-256"])
    derivation = asked.receive(b"r=clientnonceservernoncE,s=" + b64encode(SALT) + b",i=4096")
    assert isinstance(derivation, Derivation)
    assert exchange.receive(asked.derived(derivation.derive())) == ScramProof("user", False)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,,",
        b"x,,n=user,r=abc",
        b"n,user,n=user,r=abc",
        b"n,a=,n=user,r=abc",
        b"n,,m=x,n=user,r=abc",
        b"n,,r=abc,n=user",
        b"n,,n=user",
        b"n,,n=user,r=",
        b"n,,n=user,r=a b",
        b"n,,n=us=er,r=abc",
        b"n,,n=user,r=abc,n=other",
        b"n,,n=\xff,r=abc",
        b"n,,n=a\0b,r=abc",
    ],
)
def test_first_messages_that_are_none(message: bytes) -> None:
    """What does not fit the grammar of RFC 5802 §7 ends the exchange."""
    assert server().start(message) == MALFORMED


@pytest.mark.parametrize("name", ["", "\u00ad", "\u0007", "a\u0627"])
def test_names_that_can_be_nobodys(name: str) -> None:
    """What SASLprep refuses, or makes empty, is refused (RFC 5802 §5.1)."""
    assert server().start(f"n,,n={name},r=abc".encode()) == REFUSED


@pytest.mark.parametrize(
    "message",
    [b"", b"c=biws", b"c=biws,r=x", b"c=biws,r=x,p=", b"c=biws,r=x,p=AAAA", b"r=x,c=biws,p=AA=="],
)
def test_final_messages_that_are_none(message: bytes) -> None:
    """A final message that cannot be read proves nothing, and ends the exchange."""
    exchange = server()
    exchange.start(b"n,,n=user,r=abc")
    exchange.answer(KEYS["SCRAM-SHA-256"])
    assert exchange.receive(message) == MALFORMED


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=3), st.integers(0, 80))
def test_any_bytes(messages: list[bytes], cut: int) -> None:
    """Whatever comes, and wherever a good message is cut, there is a step and never a proof."""
    exchange = server()
    step: object = exchange.start(b"n,,n=user,r=abc"[:cut])
    if isinstance(step, ScramRequest):
        step = exchange.answer(OTHER)
    for message in messages:
        if isinstance(step, Challenge):
            step = exchange.receive(message)
    assert not (isinstance(step, ScramProof) and step.proved)


def test_a_session_may_give_up() -> None:
    """A session that has no keys ends the exchange."""
    exchange = server()
    exchange.start(b"n,,n=user,r=abc")
    assert exchange.answer(Denied()) == REFUSED


def test_extra_words_behind_the_proof() -> None:
    """Behind the server's proof the client says nothing more."""
    exchange, asked = server(), client()
    exchange.start(asked.start())
    challenge = exchange.answer(KEYS["SCRAM-SHA-256"])
    assert isinstance(challenge, Challenge)
    derivation = asked.receive(challenge.data)
    assert isinstance(derivation, Derivation)
    assert isinstance(exchange.receive(asked.derived(derivation.derive())), Challenge)
    assert exchange.receive(b"more") == MALFORMED


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"\xff",
        b"e=other-error",
        b"r=else,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=clientnonce,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=clientnonceX,s=!,i=4096",
        b"r=clientnonceX,s=,i=4096",
        b"r=clientnonceX,s=QSXCR+Q6sek8bf92,i=4095",
        b"r=clientnonceX,s=QSXCR+Q6sek8bf92,i=99999999",
        b"r=clientnonceX,s=QSXCR+Q6sek8bf92,i=x",
        b"m=x,r=clientnonceX,s=QSXCR+Q6sek8bf92,i=4096",
    ],
)
def test_servers_that_err(challenge: bytes) -> None:
    """The client goes along with nothing that weakens it."""
    asked = client()
    asked.start()
    with pytest.raises(ServerNotProved):
        asked.receive(challenge)


def test_servers_that_cannot_prove_themselves() -> None:
    """A server that knows no keys is not believed, and neither is one that says no word of it."""
    asked, exchange = client(), server()
    exchange.start(asked.start())
    challenge = exchange.answer(KEYS["SCRAM-SHA-256"])
    assert isinstance(challenge, Challenge)
    derivation = asked.receive(challenge.data)
    assert isinstance(derivation, Derivation)
    asked.derived(derivation.derive())
    assert not asked.complete
    with pytest.raises(ServerNotProved):
        asked.receive(b"v=" + b64encode(bytes(32)))


def test_keys_are_spelled_as_dovecot_does() -> None:
    """Stored keys are read as they were written; what is no keys is told."""
    for name, keys in KEYS.items():
        assert scram.read_keys(name, scram.spell_keys(keys)) == keys
    good = scram.spell_keys(KEYS["SCRAM-SHA-256"])
    for bad in ("", "4096", good + ",AAAA", "0" + good[4:], "x" + good, good[:-8], good + "!"):
        with pytest.raises(ValueError):
            scram.read_keys("SCRAM-SHA-256", bad)
