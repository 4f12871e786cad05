"""Tests for `mailplat.agents.webhook`: a real web service on the loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred as Awaited
from twisted.web.resource import Resource
from twisted.web.server import Site

from mailplat.agents.webhook import Format
from mailplat.agents.webhook_options import WebhookOptions
from mailplat.app.parts import make_agent
from mailplat.config.secrets import Secret
from mailplat.interfaces.agents import IDeliveryAgent
from mailplat.interfaces.plugins import AgentSettings
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.model.errors import ConfigurationFault
from mailplat.model.outcome import Bounced, Deferred, Delivered
from mailplat.testing import agents

ANN, BEN = (Recipient(Address(name, "one.example")) for name in ("ann", "ben"))
KEY = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
_reactor: Any = reactor

Make = Callable[..., Any]


class Service(Resource):
    """Keeps what is posted, and answers as told."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.codes: list[int] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []

    def render_POST(self, request: Any) -> bytes:
        """Keep it."""
        headers = {
            name.decode().lower(): values[-1].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        self.requests.append((headers, request.content.read()))
        request.setResponseCode(self.codes.pop(0) if self.codes else 200)
        return b"noted\r\n250 evil"


@pytest.fixture
def service() -> Service:
    """A web service."""
    return Service()


@pytest.fixture
def make(service: Service) -> Iterator[Make]:
    """Make an agent for it by its description."""
    site = Site(service)
    site.noisy = False
    site.timeOut = None
    port = _reactor.listenTCP(0, site, interface="127.0.0.1")
    made: list[Any] = []

    def make(**options: Any) -> Any:
        settings = AgentSettings(
            reactor, options=WebhookOptions(**options), now=lambda: 1_700_000_000.5
        )
        made.append(make_agent(f"webhook:http://127.0.0.1:{port.getHost().port}/in?x=y", settings))
        return made[-1]

    yield make
    for agent in made:
        pytest_twisted.blockon(Awaited.fromCoroutine(agent.close()))
    pytest_twisted.blockon(port.stopListening())


class TestContract(agents.AgentContract):
    """A webhook keeps the contract of delivery agents."""

    @pytest.fixture
    def agent(self, make: Make) -> IDeliveryAgent:
        """A service that takes everything."""
        agent: IDeliveryAgent = make()
        return agent

    @pytest.fixture
    def recipients(self) -> Sequence[Recipient]:
        """Anybody."""
        return [ANN, BEN]


@pytest_twisted.ensureDeferred
async def test_json(make: Make, service: Service) -> None:
    """One request tells everything about a mail, in JSON."""
    await make().deliver(agents.attempt([ANN, BEN], b"Subject: \xff\r\n\r\nhello\r\n"))
    ((headers, content),) = service.requests
    told = json.loads(content)
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == str(len(content))
    assert base64.b64decode(told.pop("message")) == b"Subject: \xff\r\n\r\nhello\r\n"
    assert told == {
        "queue_id": "q1",
        "sender": "sender@example.net",
        "recipients": ["ann@one.example", "ben@one.example"],
        "arrived": 1_700_000_000,
        "size": 21,
    }


@pytest_twisted.ensureDeferred
async def test_raw(make: Make, service: Service) -> None:
    """Raw content is the message, with the envelope in fields on top."""
    await make(format=Format.RAW).deliver(agents.attempt([ANN, BEN]))
    ((headers, content),) = service.requests
    assert headers["content-type"] == "message/rfc822"
    assert content == (
        b"Return-Path: <sender@example.net>\r\nDelivered-To: ann@one.example\r\n"
        b"Delivered-To: ben@one.example\r\nSubject: hello\r\n\r\nhello\r\n"
    )


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("size", [0, 1, 2, 3, (3 << 16) - 1, (3 << 16) + 1])
@pytest_twisted.ensureDeferred
async def test_signature(make: Make, service: Service, form: Format, size: int) -> None:
    """A service that knows the secret can tell that the content is ours (Standard Webhooks)."""
    agent = make(secret=Secret(KEY), format=form)
    await agent.deliver(agents.attempt([ANN], b"x" * size))
    ((headers, content),) = service.requests
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + content
    digest = hmac.new(b"0123456789abcdef01234567", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert headers["webhook-timestamp"] == "1700000000"


@pytest_twisted.ensureDeferred
async def test_id_is_the_same_again(make: Make, service: Service) -> None:
    """A repeated attempt has the same id; another recipient has another one."""
    agent = make()
    await agent.deliver(agents.attempt([ANN, BEN]))
    await agent.deliver(agents.attempt([BEN, ANN]))
    await agent.deliver(agents.attempt([ANN]))
    first, second, third = (headers["webhook-id"] for headers, _ in service.requests)
    assert first == second != third
    assert first.startswith("q1.")


@pytest_twisted.ensureDeferred
async def test_each(make: Make, service: Service) -> None:
    """With a request for each recipient each has its own answer."""
    service.codes = [202, 410]
    outcomes = await make(each=True).deliver(agents.attempt([ANN, BEN]))
    assert isinstance(outcomes[ANN], Delivered)
    assert isinstance(outcomes[BEN], Bounced)
    assert len(service.requests) == 2


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (200, Delivered),
        (204, Delivered),
        (302, Deferred),
        (400, Bounced),
        (403, Deferred),
        (404, Deferred),
        (422, Bounced),
        (429, Deferred),
        (500, Deferred),
        (503, Deferred),
    ],
)
@pytest_twisted.ensureDeferred
async def test_codes(make: Make, service: Service, code: int, kind: type[object]) -> None:
    """Only what is meant about this mail is final; what the service says stays on one line."""
    service.codes = [code]
    outcome = (await make().deliver(agents.attempt([ANN])))[ANN]
    assert isinstance(outcome, kind)
    assert outcome.reply is not None  # type: ignore[attr-defined]
    assert outcome.reply.text.startswith(f"HTTP {code}")  # type: ignore[attr-defined]
    assert "\n" not in outcome.reply.text  # type: ignore[attr-defined]


@pytest_twisted.ensureDeferred
async def test_nobody_there() -> None:
    """No service is a temporary failure that names it, and not its query."""
    agent: Any = make_agent("webhook:http://127.0.0.1:1/in?token=hidden", AgentSettings(reactor))
    outcome = (await agent.deliver(agents.attempt([ANN])))[ANN]
    assert isinstance(outcome, Deferred)
    assert "127.0.0.1:1" in outcome.reply.text
    assert "hidden" not in f"{outcome}"
    await agent.close()


@pytest_twisted.ensureDeferred
async def test_authorization(make: Make, service: Service) -> None:
    """A token of the operator's goes with each request."""
    await make(authorization=Secret("Bearer t")).deliver(agents.attempt([ANN]))
    assert service.requests[0][0]["authorization"] == "Bearer t"


@pytest.mark.parametrize(
    ("url", "secret", "words"),
    [
        ("ftp://x/", None, "https://HOST"),
        ("https:///x", None, "https://HOST"),
        ("https://u:p@x/", None, "authorization"),
        ("https://x:y/", None, "https://HOST"),
        ("https://x/", "short", "too short"),
        ("https://x/", "whsec_!!", "not base64"),
    ],
)
def test_faults(url: str, secret: str | None, words: str) -> None:
    """What cannot be used is told before any mail comes."""
    options = WebhookOptions(secret=None if secret is None else Secret(secret))
    with pytest.raises(ConfigurationFault, match=words):
        make_agent(f"webhook:{url}", AgentSettings(reactor, options=options))
