"""What the configuration says of a webhook, and the agent made of it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import attrs

from mailplat.agents.webhook import Format, Hook, WebhookAgent, signing_key
from mailplat.config.option import option
from mailplat.config.secrets import Secret
from mailplat.config.values import Duration, Size, duration, size
from mailplat.interfaces.plugins import AgentSettings
from mailplat.model.errors import ConfigurationFault
from mailplat.net.web import WebClient, WebOptions

__all__ = ["WebhookOptions", "make_webhook"]


@attrs.frozen(kw_only=True)
class WebhookOptions:
    """A web service that mail is posted to."""

    format: Format = option(
        Format.JSON,
        meaning="`json` posts an object with the envelope and the message in base64, `raw` the "
        "message itself with Return-Path and Delivered-To on top.",
    )
    secret: Secret | None = option(
        None,
        meaning="What requests are signed with, by HMAC-SHA256: `whsec_` and base64, or any text "
        "of 24 to 64 bytes. Without it they are not signed.",
        precedent="Standard Webhooks",
    )
    authorization: Secret | None = option(
        None, meaning="The Authorization field of each request, such as `Bearer TOKEN`."
    )
    each: bool = option(
        False, meaning="Whether each recipient has a request of its own, with its own answer."
    )
    timeout: Duration = option(
        duration("30s"),
        least=0.1,
        meaning="How long a request may take.",
        precedent="Standard Webhooks (15 s to 30 s)",
    )
    max_answer: Size = option(
        size("64KiB"), least=1, meaning="How long an answer may be; a longer one is no answer."
    )
    connections: int = option(
        4,
        unit="connections",
        least=0,
        most=1000,
        meaning="How many idle connections are kept for the next mail.",
    )
    authorities: Path | None = option(
        None,
        meaning="A PEM file with the certificates to trust. Not set, the system's.",
    )


def make_webhook(url: str, settings: AgentSettings) -> WebhookAgent:
    """Make the agent.

    Raises:
        ConfigurationFault: The URL or the secret cannot be used.
    """
    options: WebhookOptions = settings.options or WebhookOptions()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and url.isascii()
        _ = parts.port
    except ValueError:
        usable = False
    if not usable or parts.username is not None:
        raise ConfigurationFault(
            "expected webhook:https://HOST/PATH; a password belongs in the option authorization"
        )
    headers = {}
    if options.authorization is not None:
        headers["Authorization"] = options.authorization.reveal()
    hook = Hook(
        url,
        signing_key(options.secret.reveal()) if options.secret is not None else b"",
        options.format,
        options.each,
        headers,
        options.timeout,
    )
    client = WebClient(
        settings.reactor,
        WebOptions(
            timeout=options.timeout,
            answer=options.max_answer,
            per_server=options.connections,
            authorities=options.authorities,
        ),
    )
    return WebhookAgent(settings.reactor, client, hook, settings.now)
