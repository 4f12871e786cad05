"""Before a mailbox is open: greetings, TLS, log-in, and what both sides can do."""

from __future__ import annotations

from twisted.logger import Logger

from mailplat.model.account import Account
from mailplat.model.credentials import Credentials, PasswordCredentials
from mailplat.model.errors import AuthenticationFailed
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands.session import (
    Authenticate,
    AuthenticateResponse,
    Capability,
    Compress,
    Enable,
    Id,
    Login,
    Logout,
    Noop,
    StartTLS,
)
from mailplat.proto.sasl import exchange as sasl
from mailplat.sessions.imap.capabilities import ENABLES, capabilities, log_in_allowed
from mailplat.sessions.imap.state import SessionState

__all__ = [
    "authenticate",
    "authenticate_response",
    "capability",
    "compress",
    "enable",
    "greet",
    "identify",
    "login",
    "logout",
    "noop",
    "start_tls",
]

_log = Logger()


def greet(state: SessionState) -> None:
    """Say hello, with what can be done (RFC 9051 §7.1)."""
    state.conversation.greet("mailplat ready", _code(state))


def _code(state: SessionState) -> str:
    return "CAPABILITY " + " ".join(capabilities(state))


async def capability(state: SessionState, command: Capability) -> None:
    """CAPABILITY (RFC 9051 §6.1.1)."""
    state.conversation.send(responses.capability(capabilities(state)))
    state.conversation.ok()


async def noop(state: SessionState, command: Noop) -> None:
    """NOOP (RFC 9051 §6.1.2): what is new was told before this."""
    state.conversation.ok()


async def logout(state: SessionState, command: Logout) -> None:
    """LOGOUT (RFC 9051 §6.1.3)."""
    state.close_mailbox()
    state.conversation.ok()


async def identify(state: SessionState, command: Id) -> None:
    """ID (RFC 2971): say who we are; what the client says of itself goes to the log."""
    said = {name.lower(): value or "" for name, value in command.fields}
    _log.info(
        "{session} is {client} {version}",
        session=state.link.session_id,
        client=said.get("name", "")[:100] or "unnamed",
        version=said.get("version", "")[:40],
    )
    before = capabilities(state)
    state.client_said(said)
    if capabilities(state) != before:
        # RFC 9051 §7.2.2: may come at any time, and the client counts on the last one
        state.conversation.send(responses.capability(capabilities(state)))
    state.conversation.send(responses.identity(dict(state.services.options.server_id)))
    state.conversation.ok()


async def enable(state: SessionState, command: Enable) -> None:
    """ENABLE (RFC 5161 §3.1): unknown capabilities are passed over in silence."""
    known = ENABLES | state.services.extensions.enables
    turned_on = [name for name in command.capabilities if name in known and state.offers(name)]
    state.conversation.send(responses.enabled(turned_on))
    state.enable(turned_on)
    state.conversation.ok()


async def compress(state: SessionState, command: Compress) -> None:
    """COMPRESS (RFC 4978 §3)."""
    if command.mechanism != "DEFLATE":
        state.conversation.bad("No such compression")
    elif state.conversation.compressed:
        state.conversation.bad("The connection is compressed already", "COMPRESSIONACTIVE")
    else:
        state.conversation.ok("DEFLATE begins")


async def start_tls(state: SessionState, command: StartTLS) -> None:
    """STARTTLS (RFC 9051 §6.2.1)."""
    if state.link.peer.tls is not None or not state.services.options.offers_tls:
        state.conversation.bad("TLS is active already, or not offered here")
        return
    state.conversation.ok("Begin TLS negotiation now")
    state.link.start_tls()


async def login(state: SessionState, command: Login) -> None:
    """LOGIN (RFC 9051 §6.2.3)."""
    if not log_in_allowed(state):
        state.conversation.no("Log-in needs TLS here", "PRIVACYREQUIRED")  # RFC 5530 §3
        return
    await _judged(state, PasswordCredentials(command.user, command.password))


async def authenticate(state: SessionState, command: Authenticate) -> None:
    """AUTHENTICATE (RFC 9051 §6.2.2), with an initial response (RFC 4959)."""
    if not log_in_allowed(state):
        state.conversation.no("Log-in needs TLS here", "PRIVACYREQUIRED")
        return
    start = state.mechanisms.get(command.mechanism)
    if start is None:
        state.conversation.no("No such authentication mechanism", "CANNOT")
        return
    state.exchange = start()
    await _step(state, sasl.begin(state.exchange, command.initial))


async def authenticate_response(state: SessionState, event: AuthenticateResponse) -> None:
    """A line behind AUTHENTICATE."""
    exchange = state.exchange
    if exchange is None:
        raise RuntimeError("a response without an exchange")
    await _step(state, sasl.respond(exchange, event.line))


async def _step(state: SessionState, step: sasl.Step) -> None:
    while not isinstance(step, sasl.Challenge | sasl.Failed):
        outcome = await _judged(state, step)
        if outcome is None:
            return
        assert state.exchange is not None
        step = sasl.go_on(state.exchange, outcome)
    if isinstance(step, sasl.Challenge):
        state.conversation.challenge(step.line)
        return
    state.exchange = None
    if step.failure is sasl.Failure.REFUSED:
        _refuse(state, AuthenticationFailed())
    else:
        state.conversation.bad(_WORDS[step.failure])


_WORDS = {
    sasl.Failure.CANCELLED: "Authentication cancelled",  # RFC 9051 §6.2.2
    sasl.Failure.MALFORMED: "Malformed authentication response",
    sasl.Failure.TOO_LONG: "Authentication response too long",
}


async def _judged(state: SessionState, credentials: Credentials) -> sasl.Answer | None:
    """Find out what credentials are worth; give what the exchange has to be told, if it goes on."""
    try:
        outcome = await state.log_ins.judge(credentials)
        if not isinstance(outcome, Account):
            return outcome
        state.exchange = None
        await state.log_in(outcome)
    except AuthenticationFailed as error:
        state.exchange = None
        _refuse(state, error)
        return None
    except BaseException:
        state.exchange = None
        raise
    _log.info(
        "{session} {account} logged in from {address}",
        session=state.link.session_id,
        account=outcome.name,
        address=state.link.peer.address,
    )
    state.conversation.ok("Logged in", _code(state))
    return None


def _refuse(state: SessionState, error: AuthenticationFailed) -> None:
    """Answer a log-in that failed, and count it."""
    state.conversation.refuse(error)
    state.login_failures += 1
    if state.login_failures >= state.services.options.login_failures:
        state.conversation.bye("Too many log-ins failed")
