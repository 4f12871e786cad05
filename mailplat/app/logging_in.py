"""Log-ins, made of the configuration: who judges them, and what is offered to whom."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

from mailplat.accounts.tokens.assertions import SignedTokens
from mailplat.accounts.tokens.introspection import IntrospectedTokens
from mailplat.accounts.tokens.key_sets import KeySet
from mailplat.accounts.tokens.rules import TokenRules
from mailplat.config.listeners import Listener
from mailplat.config.options import Configuration
from mailplat.interfaces.accounts import IAccounts, IScramAccounts
from mailplat.interfaces.plugins import PasswordSettings
from mailplat.interfaces.tokens import ITokens
from mailplat.model.credentials import Denied
from mailplat.model.errors import ConfigurationFault
from mailplat.model.peer import Peer
from mailplat.net.client_certificates import CertificateName
from mailplat.net.throttle import LoginThrottle
from mailplat.net.web import WebClient, WebOptions
from mailplat.proto.sasl.exchange import Mechanisms
from mailplat.proto.sasl.offers import offered
from mailplat.sessions.login import LoginParts

__all__ = ["make_log_ins", "make_tokens", "mechanisms_of", "password_settings"]

_DECOY_KEY = "scram-decoy.key"


def password_settings(configuration: Configuration) -> PasswordSettings:
    """Say how passwords are kept and checked; makes a key in the data directory, once."""
    options = configuration.accounts
    return PasswordSettings(
        scheme=options.scheme.value,
        threads=options.hash_threads,
        waiting=options.hash_queue,
        cache_entries=options.cache_entries,
        cache_seconds=options.cache_time,
        scram=tuple(one.value for one in options.scram),
        scram_iterations=options.scram_iterations,
        decoy_key=_decoy_key(configuration.server.data_directory / _DECOY_KEY),
    )


def _decoy_key(path: Path) -> bytes:
    """Read the key that makes the salts of unknown names, or make it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        try:
            return path.read_bytes()
        except OSError as error:
            raise ConfigurationFault(f"cannot read {path} ({error.strerror})") from error
    except OSError as error:
        raise ConfigurationFault(f"cannot write {path} ({error.strerror})") from error
    key = secrets.token_bytes(32)
    with open(descriptor, "wb") as file:
        if os.geteuid() == 0:  # twistd gives its rights up later: the folder's owner needs it
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write(key)
    return key


def make_tokens(configuration: Configuration, reactor: Any, now: Callable[[], float]) -> Any:
    """Make who judges tokens (`ITokens`), not opened yet; None where no tokens are taken.

    Raises:
        ConfigurationFault: Options contradict each other, or a file cannot be used.
    """
    options = configuration.oauth
    if not (options.introspection or options.keys):
        return None
    if options.introspection and options.keys:
        raise ConfigurationFault("oauth.introspection and oauth.keys: say one of them, not both")
    rules = TokenRules(
        issuer=options.issuer,
        audience=options.audience,
        scope=options.scope,
        account_claim=options.account_claim,
        leeway=options.leeway,
    )
    web = WebClient(reactor, WebOptions(timeout=options.timeout, authorities=options.authorities))
    denied = Denied(options.scope, options.discovery)
    if options.introspection:
        if not options.client or options.client_secret is None:
            raise ConfigurationFault(
                "oauth.introspection needs oauth.client and oauth.client_secret (RFC 7662 §2.1)"
            )
        return IntrospectedTokens(
            web,
            options.introspection,
            (options.client, options.client_secret.reveal()),
            rules,
            denied,
            now,
            cache=options.cache_time,
        )
    if not options.issuer or not options.audience:
        raise ConfigurationFault(
            "oauth.keys needs oauth.issuer and oauth.audience: otherwise a token that was meant "
            "for another service would let in here"
        )
    keys = KeySet(web, options.keys, reactor, refresh=options.keys_refresh)
    return SignedTokens(keys, rules, denied, now)


def make_log_ins(
    configuration: Configuration, accounts: IAccounts, tokens: ITokens | None, reactor: Any
) -> LoginParts:
    """Make what all log-ins share."""
    options = configuration.auth
    return LoginParts(
        accounts,
        LoginThrottle(
            reactor,
            delays=(0.0, *options.failure_delays),
            at_once=options.at_once,
            max_waiting=options.max_waiting,
        ),
        tokens,
        tuple(CertificateName(one.value) for one in options.certificate_names),
    )


def mechanisms_of(
    configuration: Configuration, listener: Listener, log_ins: LoginParts
) -> Callable[[Peer], Mechanisms]:
    """Tell what is offered on a listener: a function of who is connected."""
    wanted = [one.value for one in listener.mechanisms or configuration.auth.mechanisms]
    return partial(_mechanisms, wanted, log_ins)


def _mechanisms(wanted: list[str], log_ins: LoginParts, peer: Peer) -> Mechanisms:
    able: Collection[str] = ()
    if IScramAccounts.providedBy(log_ins.accounts):
        able = IScramAccounts(log_ins.accounts).scram_algorithms()
    tls = peer.tls
    return offered(
        wanted,
        partial(secrets.token_urlsafe, 24),
        scram_able=able,
        bindings={} if tls is None else tls.bindings,
        certificate=tls is not None and tls.client_certificate is not None,
        tokens=log_ins.tokens is not None,
    )
