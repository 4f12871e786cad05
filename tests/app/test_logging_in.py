"""Tests for `mailplat.app.logging_in`, and for what `mailplatctl` makes of passwords."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner
from twisted.internet.task import Clock

from mailplat.accounts.memory import MemoryAccounts
from mailplat.accounts.schemes import hashes_of, matches, scheme_of, scram_keys_of
from mailplat.accounts.text import directory_of, read_rows
from mailplat.app.ctl import init
from mailplat.app.logging_in import make_log_ins, make_tokens, mechanisms_of, password_settings
from mailplat.config.listeners import listeners_of
from mailplat.config.options import Configuration
from mailplat.config.secrets import Secret
from mailplat.config.sections.auth import Mechanism, OAuthOptions
from mailplat.model.errors import ConfigurationFault
from mailplat.model.peer import Peer, TLSInfo


def test_the_decoy_key_stays(tmp_path: Path) -> None:
    """What makes the salts of unknown names is made once, and is nobody else's."""
    plain = Configuration()
    configuration = attrs.evolve(plain, server=attrs.evolve(plain.server, data_directory=tmp_path))
    first, second = password_settings(configuration), password_settings(configuration)
    assert first.decoy_key == second.decoy_key
    assert len(first.decoy_key) == 32
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "options",
    [
        {"introspection": "http://x", "keys": "keys"},
        {"introspection": "http://x"},
        {"introspection": "http://x", "client": "me"},
        {"keys": "keys"},
        {"keys": "keys", "issuer": "https://i"},
        {"keys": "keys", "audience": "mail"},
    ],
)
def test_tokens_that_anybody_could_bring(options: dict[str, Any]) -> None:
    """Options that leave open whose tokens are taken, and for whom, are faults."""
    configuration = attrs.evolve(Configuration(), oauth=OAuthOptions(**options))
    with pytest.raises(ConfigurationFault):
        make_tokens(configuration, Clock(), lambda: 0.0)
    assert make_tokens(Configuration(), Clock(), lambda: 0.0) is None


def test_what_is_offered() -> None:
    """Options, the connection and the accounts decide; a listener may have a list of its own."""
    secret = Secret("x")
    oauth = OAuthOptions(introspection="http://x", client="me", client_secret=secret)
    configuration = attrs.evolve(Configuration(), oauth=oauth)
    clock: Any = Clock()
    tokens = make_tokens(configuration, clock, lambda: 0.0)
    log_ins = make_log_ins(configuration, MemoryAccounts(clock), tokens, clock)
    listener = listeners_of(configuration)[0]
    shown = TLSInfo("TLSv1.3", "x", client_certificate=b"x", bindings={"tls-exporter": b"x"})
    for tls, expected in (
        (None, ["OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"]),
        (shown, ["OAUTHBEARER", "XOAUTH2", "EXTERNAL", "PLAIN", "LOGIN"]),
    ):
        peer = Peer("192.0.2.1", 1, "192.0.2.2", 2, tls)
        assert list(mechanisms_of(configuration, listener, log_ins)(peer)) == expected
    listener = replace(listener, mechanisms=(Mechanism.LOGIN,))
    assert list(mechanisms_of(configuration, listener, log_ins)(peer)) == ["LOGIN"]


def test_new_accounts_can_do_scram(tmp_path: Path) -> None:
    """Accounts of `mailplatctl init` have a slow hash, and keys for SCRAM."""
    folder = tmp_path / "new"
    done = CliRunner().invoke(init.command, [str(folder), "--account", "alice:secret"])
    assert done.exit_code == 0, done.output
    text = (folder / "data" / "accounts").read_text()
    (entry,) = directory_of(read_rows(text, "accounts"))
    assert [scheme_of(one) for one in hashes_of(entry.password)] == ["ARGON2ID", "SCRAM-SHA-256"]
    assert matches(entry.password, "secret")
    keys = scram_keys_of(entry.password, "SCRAM-SHA-256")
    assert keys is not None
    assert keys.iterations == Configuration().accounts.scram_iterations
