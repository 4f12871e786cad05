"""Tests for `mailplat.app.ctl`: the command line, in this process and as a process of its own."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_twisted
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import DNSName, SubjectAlternativeName, load_pem_x509_certificate
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import blockingCallFromThread, deferToThread

from mailplat.accounts.text import directory_of, read_rows
from mailplat.app.ctl.main import main
from mailplat.config.listeners import listeners_of
from mailplat.config.load import load
from mailplat.model.account import Account
from mailplat.model.mailbox import QuotaLimit

MAILPLATCTL = [sys.executable, "-m", "mailplat.app.ctl"]


class Ctl(Protocol):
    """Runs the command in this process."""

    def __call__(self, *args: object, stdin: str = "") -> Awaitable[Result]:
        """Give its arguments, and what it reads."""


@pytest.fixture
def ctl(monkeypatch: pytest.MonkeyPatch) -> Ctl:
    """The command in a thread, with its asynchronous work on the tests' reactor."""

    def run(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        return blockingCallFromThread(
            IReactorFromThreads(reactor), lambda: Deferred.fromCoroutine(work(reactor))
        )

    monkeypatch.setattr("mailplat.app.ctl.running.run", run)
    monkeypatch.setattr("mailplat.accounts.schemes._argon2", _Quick())

    async def call(*args: object, stdin: str = "") -> Result:
        words = [str(arg) for arg in args]
        result: Result = await deferToThread(CliRunner().invoke, main, words, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


class _Quick:
    """Makes hashes that cost little."""

    def hash(self, password: bytes) -> str:
        import argon2

        return argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)


@pytest_twisted.async_fixture
async def made(tmp_path: Path, ctl: Ctl) -> Path:
    """The configuration of an installation with two accounts."""
    directory = tmp_path / "made"
    result = await ctl(
        "init", directory, "--domain", "Example.org", "--domain", "example.net",
        "--account", "alice:sec:ret", "--account", "bob@example.net:x",
        "--listen", "127.0.0.1", "--port-offset", 10000,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return directory / "mailplat.toml"


def accounts_of(configuration: Path) -> list[Account]:
    """Read the accounts of an installation."""
    file = configuration.parent / "data/accounts"
    return [entry.account for entry in directory_of(read_rows(file.read_text(), "f"))]


def test_init_makes_a_ready_installation(made: Path) -> None:
    """What init writes can be served, and is private to its owner."""
    configuration = load(made)
    assert configuration.server.domains == ("example.org", "example.net")
    assert listeners_of(configuration)[0].endpoint == "tcp:10025:interface=127.0.0.1"
    certificate = load_pem_x509_certificate(configuration.tls.certificate.read_bytes())
    key = load_pem_private_key(configuration.tls.key.read_bytes(), None)
    assert certificate.public_key() == key.public_key()
    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    assert {"example.org", "mail.example.net"} <= set(names.get_values_for_type(DNSName))
    assert accounts_of(made) == [
        Account("alice@example.org", addresses=("alice@example.org",), aliases=("alice",)),
        Account("bob@example.net", addresses=("bob@example.net",)),
    ]
    for path in [made.parent, *made.parent.rglob("*")]:
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
    assert "sec:ret" not in "".join(
        path.read_text() for path in made.parent.rglob("*") if path.is_file()
    )


@pytest_twisted.ensureDeferred
async def test_init_tells_what_comes_next(tmp_path: Path, ctl: Ctl) -> None:
    """Init says where it will listen, and the next command, ready to be pasted."""
    result = await ctl("init", tmp_path / "a b")
    assert f"twistd --nodaemon mailplat --config '{tmp_path}/a b/mailplat.toml'" in result.output
    assert f"mailplatctl account add --config '{tmp_path}/a b/mailplat.toml' NAME" in result.output
    assert "imaps        tcp:993:interface=0.0.0.0" in result.output
    assert load(tmp_path / "a b/mailplat.toml").server.domains == ("localhost",)


@pytest_twisted.ensureDeferred
async def test_init_overwrites_nothing(made: Path, ctl: Ctl) -> None:
    """A second init in the same folder is refused, whichever of its files is left."""
    before = {path: path.read_bytes() for path in made.parent.rglob("*") if path.is_file()}
    result = await ctl("init", made.parent)
    assert result.exit_code == 1
    assert f"{made} is there already" in result.output
    assert before == {path: path.read_bytes() for path in made.parent.rglob("*") if path.is_file()}
    made.unlink()
    assert "server.key is there already" in (await ctl("init", made.parent)).output


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--domain", "a..b"], "found 'a..b', expected a domain"),
        (["--listen", "localhost"], "expected an IP address"),
        (["--store", "/var/mail"], "expected a part"),
        (["--store", "nosuch:x"], "there is no store called 'nosuch'; installed are"),
        (["--port-offset", "70000"], "0<=x<=64000"),
        (["--account", "alice"], "--account alice has no password; say --account alice:PASSWORD"),
        (["--account", "alice:"], "has no password"),
        (["--account", "a b:x"], "'a b' cannot name an account"),
        (["--account", "@example.org:x"], "cannot name an account"),
        (["--account", "x@a..b:x"], "expected a domain"),
        (["--domain", "example.org", "--account", "x@example.net:x"], "add it to server.domains"),
        (["--account", "a:x", "--account", "A:y"], "there is an account a@localhost already"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_init_refuses(tmp_path: Path, ctl: Ctl, args: list[str], told: str) -> None:
    """What cannot be is refused with the remedy, before anything is written."""
    result = await ctl("init", tmp_path / "new", *args)
    assert result.exit_code in {1, 2}
    assert told in result.output
    assert not (tmp_path / "new").exists()


@pytest_twisted.ensureDeferred
async def test_init_takes_the_accounts_domains(tmp_path: Path, ctl: Ctl) -> None:
    """Without --domain the accounts say which domains there are; a store is written as given."""
    result = await ctl(
        "init", tmp_path, "--account", "a@example.org:x", "--account", "B:x",
        "--account", "c@example.net:x", "--store", "maildir:mail",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    configuration = load(tmp_path / "mailplat.toml")
    assert configuration.server.domains == ("example.org", "example.net")
    assert configuration.store.use == "maildir:mail"
    assert accounts_of(tmp_path / "mailplat.toml")[1].aliases == ("b",)


@pytest_twisted.ensureDeferred
async def test_check_config(made: Path, ctl: Ctl) -> None:
    """A good configuration is told as one, with its ports; a bad one with every fault."""
    result = await ctl("check-config", made)
    assert result.exit_code == 0
    assert result.output.startswith(f"{made}: OK, 7 listeners\n")
    assert "tcp:10993:interface=127.0.0.1" in result.output
    made.write_text('[smtp]\nmax_recipients = 3\n[stor]\nuse = "x:"\n')
    result = await ctl("check-config", made)
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"{made}:2: smtp.max_recipients: found 3, expected at least 100 (recipients)",
        f'{made}:3: stor: there is no such option (did you mean "store"?)',
        f"{made}: 2 faults",
    ]


@pytest_twisted.ensureDeferred
async def test_check_config_looks_behind_the_file(made: Path, ctl: Ctl) -> None:
    """A part that does not exist is a fault at its line; so is a key of another certificate."""
    text = made.read_text()
    made.write_text(text.replace("[store]", '[store]\nuse = "nosuch:x"'))
    result = await ctl("check-config", made)
    assert result.exit_code == 1
    assert "store.use: there is no store called 'nosuch'" in result.output
    made.write_text(text)
    (made.parent / "tls/server.key").write_text("no key")
    result = await ctl("check-config", made)
    assert result.exit_code == 1
    assert "holds no private key" in result.output


@pytest_twisted.ensureDeferred
async def test_account_add(made: Path, ctl: Ctl) -> None:
    """An account is added with all that is said of it; the password comes by any of three ways."""
    result = await ctl(
        "account", "add", "--config", made, "carol", "--password-stdin", "--quota", "5GiB",
        "--address", "Sales@example.org", "--alias", "cc", "--full-name", "Carol C",
        stdin="hush\nnot this\n",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (
        "Added carol@example.org; logs in as carol@example.org (also carol, cc)." in result.output
    )
    assert accounts_of(made)[2] == Account(
        "carol@example.org",
        addresses=("carol@example.org", "sales@example.org"),
        full_name="Carol C",
        quota=QuotaLimit(5 * 1024**3),
        aliases=("carol", "cc"),
    )
    result = await ctl("account", "add", "--config", made, "david", stdin="hush\nhush\n")
    assert "Password of david@example.org" in result.output
    assert "hush" not in result.output
    assert (await ctl("account", "add", "--config", made, "eve@example.net:x")).exit_code == 0
    assert len(accounts_of(made)) == 5


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["alice:x"], "there is an account alice@example.org already"),
        (["x@example.com:x"], "example.com is not a domain of this server"),
        (["x:"], "the password is empty"),
        (["x:x", "--quota", "lots"], "--quota: found 'lots', expected a size"),
        (["x:x", "--address", "nowhere"], "'nowhere' is no address"),
        (["x:x", "--address", "bob@example.net"], "is an address of the account bob@example.net"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_account_add_refuses(made: Path, ctl: Ctl, args: list[str], told: str) -> None:
    """What cannot be added is refused in a line, and nothing changes."""
    result = await ctl("account", "add", "--config", made, *args)
    assert result.exit_code == 1
    assert told in result.output
    assert len(accounts_of(made)) == 2


@pytest_twisted.ensureDeferred
async def test_account_list(made: Path, ctl: Ctl) -> None:
    """Every account is a line, with what is not plain about it."""
    await ctl("account", "add", "--config", made, "carol:x", "--address", "sales@example.org")
    lines = (await ctl("account", "list", "--config", made)).output.splitlines()
    assert lines[0].split() == ["alice@example.org", "logs", "in", "also", "as", "alice"]
    assert lines[1] == "bob@example.net"
    assert lines[2].endswith("logs in also as carol; gets mail for sales@example.org")


@pytest_twisted.ensureDeferred
async def test_account_set(made: Path, ctl: Ctl) -> None:
    """One setting at a time is changed, and taken back; what is not known is refused."""
    for setting, value in [
        ("quota-storage", "5GiB"),
        ("quota-messages", "100"),
        ("full-name", "Alice: L."),
        ("disabled", "yes"),
        ("imap-disabled", "IDLE,QRESYNC"),
        ("x-colour", "red"),
    ]:
        result = await ctl("account", "set", "--config", made, "alice", setting, value)
        assert result.output == f"Changed {setting} of alice@example.org.\n"
    (alice, _) = accounts_of(made)
    assert alice.quota == QuotaLimit(5 * 1024**3, 100)
    assert (alice.full_name, alice.enabled) == ("Alice: L.", False)
    assert alice.setting("imap-disabled") == "IDLE,QRESYNC"
    listed = (await ctl("account", "list", "--config", made)).output
    assert "imap-disabled IDLE,QRESYNC; x-colour red; disabled" in listed
    for setting in ("quota-storage", "quota-messages", "full-name", "disabled", "imap-disabled"):
        assert (await ctl("account", "set", "--config", made, "alice", setting)).exit_code == 0
    (alice, _) = accounts_of(made)
    assert (alice.quota, alice.full_name, alice.enabled) == (QuotaLimit(), "", True)
    assert alice.settings == (("x-colour", "red"),)
    for setting, value, told in [
        ("colour", "red", "there is no setting 'colour'"),
        ("quota-storage", "much", "quota-storage: found 'much'"),
        ("disabled", "maybe", "expected yes or no"),
        ("x-Big", "1", "expected small letters"),
    ]:
        result = await ctl("account", "set", "--config", made, "alice", setting, value)
        assert result.exit_code == 1
        assert told in result.output


@pytest_twisted.ensureDeferred
async def test_account_passwd_and_remove(made: Path, ctl: Ctl) -> None:
    """Both find an account by its name, an alias, or its name in the first domain."""
    before = made.parent.joinpath("data/accounts").read_text()
    result = await ctl(
        "account", "passwd", "--config", made, "ALICE", "--password-stdin", stdin="new\n"
    )
    assert result.output == "Changed the password of alice@example.org.\n"
    assert made.parent.joinpath("data/accounts").read_text() != before
    assert (await ctl("account", "remove", "--config", made, "bob@example.net")).exit_code == 0
    assert (await ctl("account", "remove", "--config", made, "alice")).exit_code == 0
    assert accounts_of(made) == []
    result = await ctl("account", "remove", "--config", made, "alice")
    assert result.exit_code == 1
    assert "there is no account alice; `mailplatctl account list` names" in result.output
    assert (await ctl("account", "list", "--config", made)).output == "There are no accounts.\n"


@pytest_twisted.ensureDeferred
async def test_accounts_in_a_database(made: Path, ctl: Ctl) -> None:
    """The same commands work on any backend that the configuration names."""
    made.write_text(
        made.read_text().replace("[accounts]", '[accounts]\nuse = "sql:sqlite:///accounts.db"')
    )
    assert (await ctl("account", "add", "--config", made, "carol:x")).exit_code == 0
    assert "carol@example.org" in (await ctl("account", "list", "--config", made)).output
    assert (made.parent / "data/accounts.db").exists()


@pytest_twisted.ensureDeferred
async def test_no_tracebacks(tmp_path: Path, ctl: Ctl) -> None:
    """A configuration or a folder that cannot be used is told in a line."""
    result = await ctl("account", "list", "--config", tmp_path / "no.toml")
    assert result.exit_code == 1
    assert "Error:" in result.output
    assert "the file cannot be read: No such file or directory" in result.output
    (tmp_path / "file").touch()
    result = await ctl("init", tmp_path / "file/below")
    assert result.exit_code == 1
    assert f"{tmp_path}/file" in result.output


@pytest.mark.parametrize(
    "args", [[], ["init"], ["account"], ["account", "add"], ["account", "passwd"], ["check-config"]]
)
@pytest_twisted.ensureDeferred
async def test_help_teaches(ctl: Ctl, args: list[str]) -> None:
    """Every command explains itself, and no option is without a word."""
    result = await ctl(*args, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.output
    assert "\\b" not in result.output


def test_help_is_quick() -> None:
    """The command's help imports neither Twisted nor SQLAlchemy nor what hashes passwords."""
    code = (
        "import sys\nfrom mailplat.app.ctl.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print({'twisted', 'sqlalchemy', 'argon2', 'cryptography'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")


def test_as_a_process(tmp_path: Path) -> None:
    """The whole walk with real processes, each on a reactor of its own."""

    def run(*args: str, stdin: str = "") -> str:
        done = subprocess.run(
            [*MAILPLATCTL, *args], input=stdin, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("init", "here", "--account", "alice:secret", "--port-offset", "20000")
    config = ["--config", "here/mailplat.toml"]
    run("account", "add", *config, "--password-stdin", "bob", stdin="secret\n")
    assert "bob@localhost" in run("account", "list", *config)
    failed = subprocess.run(
        [*MAILPLATCTL, "account", "remove", *config, "nobody"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: there is no account nobody;")
    assert "Traceback" not in failed.stderr
