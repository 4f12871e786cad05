"""Tests for `mailplat.accounts.tokens`: signed tokens, introspected ones, what they must say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_twisted
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mailplat.accounts.tokens.assertions import SignedTokens
from mailplat.accounts.tokens.introspection import IntrospectedTokens
from mailplat.accounts.tokens.key_sets import EARLIEST, KeySet
from mailplat.accounts.tokens.rules import TokenRules
from mailplat.interfaces.tokens import ITokens
from mailplat.model.credentials import Denied
from mailplat.model.errors import AuthenticationFailed, Unavailable
from mailplat.net.web import WebAnswer

NOW = 1_800_000_000.0
RULES = TokenRules(issuer="https://i", audience="mail", scope="imap", leeway=10)
GOOD = {
    "iss": "https://i",
    "aud": ["other", "mail"],
    "exp": NOW + 60,
    "nbf": NOW - 60,
    "scope": "smtp imap",
    "email": "alice@example.org",
}
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
ALGORITHMS: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


class Web:
    """Answers as it is told, and counts."""

    def __init__(self, body: object, code: int = 200) -> None:
        self.body, self.code = body, code
        self.asked: list[dict[str, Any]] = []

    async def ask(self, method: str, url: str, **rest: Any) -> WebAnswer:
        """Answer."""
        self.asked.append({"method": method, "url": url, **rest})
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return WebAnswer(self.code, {}, body)

    async def close(self) -> None:
        """Nothing is open."""


def jwk(algorithm: str, name: str = "") -> dict[str, Any]:
    """Give the public half of a key."""
    public = ALGORITHMS[algorithm].to_jwk(KEYS[algorithm].public_key(), as_dict=True)
    return {**public, "kid": name or algorithm, "use": "sig"}


def signed(claims: dict[str, Any], algorithm: str = "RS256", **header: Any) -> str:
    """Sign a token."""
    headers = {"kid": algorithm, **header}
    return jwt.encode(claims, KEYS[algorithm], algorithm, headers=headers)


def tokens(web: Any, source: str = "https://i/keys") -> tuple[SignedTokens, Clock]:
    """Check tokens by the keys of a URL."""
    clock = Clock()
    return SignedTokens(KeySet(web, source, clock), RULES, Denied(), lambda: NOW), clock


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("algorithm", list(KEYS))
async def test_signed_tokens(algorithm: str, tmp_path: Path) -> None:
    """A token by any kind of key lets in, by keys of a URL or of a file, read once."""
    keys = {"keys": [jwk(name) for name in KEYS] + [{"kty": "oct", "k": "AAAA"}, "x", {}]}
    web = Web(keys)
    checker, _ = tokens(web)
    verifyObject(ITokens, checker)
    for _ in range(2):
        assert await checker.check_token(signed(GOOD, algorithm)) == "alice@example.org"
    assert len(web.asked) == 1
    (tmp_path / "keys").write_text(json.dumps(keys))
    checker, _ = tokens(web, str(tmp_path / "keys"))
    assert await checker.check_token(signed(GOOD, algorithm)) == "alice@example.org"


@pytest_twisted.ensureDeferred
async def test_tokens_that_are_not_signed_by_the_issuer() -> None:
    """No signature, one by another key, or one by a public key as a secret, is none."""
    checker, _ = tokens(Web({"keys": [jwk("RS256")]}))
    stranger = rsa.generate_private_key(65537, 2048)
    right = signed(GOOD)
    head, body, signature = right.split(".")
    for token in (
        "",
        "x",
        "a.b.c",
        jwt.encode(GOOD, None, "none"),  # type: ignore[arg-type]
        jwt.encode(GOOD, "x" * 64, "HS256", headers={"kid": "RS256"}),
        jwt.encode(GOOD, stranger, "RS256", headers={"kid": "RS256"}),
        signed(GOOD, "ES256"),
        signed(GOOD, kid="else"),
        signed(GOOD, typ="logout+jwt"),
        signed(GOOD, crit=["x"]),
        f"{head}.{body}.",
        f"{head}.{body[:-2]}.{signature}",
    ):
        with pytest.raises(AuthenticationFailed) as caught:
            await checker.check_token(token)
        assert token not in caught.value.reason or len(token) < 6


@pytest_twisted.ensureDeferred
async def test_new_keys_are_found() -> None:
    """A token with an unknown key makes the set be read again, but not at every stranger's call."""
    web = Web({"keys": [jwk("ES256")]})
    checker, clock = tokens(web)
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            await checker.check_token(signed(GOOD))
    assert len(web.asked) == 1
    web.body = {"keys": [jwk("RS256")]}
    clock.advance(EARLIEST)
    assert await checker.check_token(signed(GOOD)) == "alice@example.org"
    web.code = 500
    clock.advance(4000)
    assert await checker.check_token(signed(GOOD)) == "alice@example.org"  # kept meanwhile


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", {"keys": []}, {"keys": [{"kty": "RSA"}]}])
async def test_sets_that_are_none(body: object) -> None:
    """Without keys nobody is let in, and nobody's token is called wrong."""
    checker, _ = tokens(Web(body))
    with pytest.raises(Unavailable):
        await checker.check_token(signed(GOOD))


@pytest.mark.parametrize(
    "change",
    [
        {"exp": NOW - 11},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"nbf": NOW + 11},
        {"iss": "https://other"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"scope": "smtp"},
        {"scope": None},
        {"email": None},
        {"email": ["alice@example.org"]},
        {"email": ""},
        {"email_verified": False},
    ],
)
def test_rules(change: dict[str, Any]) -> None:
    """Each claim that is not as it has to be refuses the token."""
    assert RULES.account_of(GOOD, NOW) == "alice@example.org"
    claims = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(AuthenticationFailed):
        RULES.account_of(claims, NOW)


def introspected(web: Any, now: list[float]) -> IntrospectedTokens:
    """Ask an issuer about tokens."""
    return IntrospectedTokens(
        web, "https://i/x", ("me:1", "hu sh"), RULES, Denied(), lambda: now[0], cache=60
    )


@pytest_twisted.ensureDeferred
async def test_introspection() -> None:
    """The issuer is asked once a minute about a good token, and each time about a bad one."""
    web, now = Web({"active": True, **GOOD}), [NOW]
    checker = introspected(web, now)
    verifyObject(ITokens, checker)
    for _ in range(2):
        assert await checker.check_token("a+b") == "alice@example.org"
    (asked,) = web.asked
    assert (asked["method"], asked["content"]) == (
        "POST",
        b"token=a%2Bb&token_type_hint=access_token",
    )
    assert asked["headers"]["authorization"] == "Basic bWUlM0ExOmh1K3No"
    now[0] += 61
    web.body = {"active": False}
    for _ in range(2):
        with pytest.raises(AuthenticationFailed):
            await checker.check_token("a+b")
    assert len(web.asked) == 3


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("body", "code"), [(b"", 200), ([], 200), ({"active": True}, 401)])
async def test_an_issuer_that_errs(body: object, code: int) -> None:
    """Nobody is let in, and nobody's token is called wrong, where the issuer makes no sense."""
    with pytest.raises(Unavailable):
        await introspected(Web(body, code), [NOW]).check_token("x")


@pytest_twisted.ensureDeferred
async def test_an_active_token_for_somebody_else() -> None:
    """What is active may still be for another service."""
    with pytest.raises(AuthenticationFailed):
        await introspected(Web({"active": True, **GOOD, "aud": "x"}), [NOW]).check_token("x")
    with pytest.raises(AuthenticationFailed):
        await introspected(Web({"active": "true", **GOOD}), [NOW]).check_token("x")
