"""The server as its operator meets it: set up, started, refused, looked at, stopped."""

from __future__ import annotations

import json
import re
import smtplib
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mailplat.testing.twistd import (
    PORTS,
    Installation,
    TwistdServer,
    find_port_offset,
    program,
    until,
)

MESSAGE = b"From: a@elsewhere.example\r\nSubject: %b\r\n\r\nx\r\n"


def call(
    *command: str, folder: Path, stdin: str = "", code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run one of our own programs to its end."""
    name, *arguments = command
    done = subprocess.run(
        [program(name), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        check=False,
    )
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a server."""
    made = tmp_path / "server"
    made.mkdir()
    return made


@pytest.fixture
def started() -> Iterator[list[TwistdServer]]:
    """Servers that are ended with the test."""
    servers: list[TwistdServer] = []
    yield servers
    for server in servers:
        server.end()


@pytest.mark.parametrize("store", ["memory:", "sql:sqlite:///mail.db", "maildir:mail"])
def test_mailplatctl_sets_up_what_twistd_serves(
    tmp_path: Path, started: list[TwistdServer], store: str
) -> None:
    """``init``, ``check-config``, the server, and accounts that come while it runs."""
    folder = tmp_path / "made by init"
    offset = find_port_offset()
    call(
        *("mailplatctl", "init", str(folder), "--domain", "example.org"),
        *("--account", "alice:pass-word", "--listen", "127.0.0.1"),
        *("--port-offset", str(offset), "--store", store),
        folder=tmp_path,
    )
    file = str(folder / "mailplat.toml")
    call("mailplatctl", "check-config", file, folder=tmp_path)
    assert "pass-word" not in (folder / "data/accounts").read_text()
    for secret in (folder / "tls/server.key", folder / "data/accounts"):
        assert secret.stat().st_mode & 0o077 == 0
    installation = Installation(folder, offset, ["alice@example.org"])
    # the certificate is where `init` puts it, and its key beside it
    installation.certificate.symlink_to("tls/server.pem")
    server = TwistdServer(installation)
    started.append(server)
    server.start()
    server.send("alice@example.org", MESSAGE % b"hello")
    call(
        *("mailplatctl", "account", "add", "--config", file, "--password-stdin", "bob"),
        folder=tmp_path,
        stdin="pass-word\n",
    )
    listed = call("mailplatctl", "account", "list", "--config", file, folder=tmp_path).stdout
    assert "alice@example.org" in listed
    assert "bob@example.org" in listed

    def welcome() -> bool:
        """The accounts are looked at again once a second."""
        try:
            server.send("bob@example.org", MESSAGE % b"welcome")
        except smtplib.SMTPRecipientsRefused:
            return False
        return True

    until(welcome)
    assert len(server.bodies("bob@example.org")) == 1
    assert server.bodies("alice@example.org")[0].endswith(MESSAGE % b"hello")
    server.stop()
    assert not server.complaints()


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    """The second time is refused, and leaves everything as it was."""
    command = ("mailplatctl", "init", str(tmp_path / "x"), "--account", "alice@example.org:secret")
    call(*command, folder=tmp_path)
    before = {file: file.read_bytes() for file in (tmp_path / "x").rglob("*") if file.is_file()}
    said = call(*command, folder=tmp_path, code=1)
    assert "overwritten" in said.stderr
    assert all(file.read_bytes() == data for file, data in before.items())


def test_twistd_lists_mailplat(folder: Path) -> None:
    """``twistd --help`` names it, and its own help names the options."""
    assert re.search(r"^\s+mailplat\s+\S", call("twistd", "--help", folder=folder).stdout, re.M)
    said = call("twistd", "mailplat", "--help", folder=folder).stdout
    assert "--config" in said
    assert "--demo" in said


def test_a_second_server_on_the_same_ports_says_so(
    folder: Path, tmp_path: Path, started: list[TwistdServer]
) -> None:
    """It names the port and the likely cause, and is gone; the first goes on."""
    first = TwistdServer(Installation.make(folder, "memory:"))
    started.append(first)
    first.start()
    (tmp_path / "second").mkdir()
    second = Installation.make(tmp_path / "second", "memory:", offset=first.installation.offset)
    said = call(
        *("twistd", "--nodaemon", "--pidfile=", "mailplat"),
        *("--config", str(second.configuration)),
        folder=tmp_path,
        code=1,
    )
    words = said.stdout + said.stderr  # twistd has taken the standard error into its log by then
    assert f"cannot listen on tcp:{first.installation.port('smtp')}" in words
    assert "is another server running there" in words
    first.send(first.installation.users[0], MESSAGE % b"still here")
    first.stop()
    assert not first.complaints()


@pytest.mark.parametrize(
    ("table", "lines", "expected"),
    [
        ("smtp", "max_recipients = 5", ["smtp.max_recipients"]),
        ("smtp", 'max_recipient = 500\nidle_timeout = "soon"', ["max_recipient", "idle_timeout"]),
        ("listener", "x = 1", ["listener"]),
        ("nothing", "x = 1", ["nothing"]),
        ("imap", "= 5", ["TOML"]),
    ],
)
def test_a_wrong_configuration_is_refused_with_every_fault(
    folder: Path, table: str, lines: str, expected: Sequence[str]
) -> None:
    """Before any port opens, each fault with its line; the exit code is not 0."""
    made = Installation.make(folder, "memory:", options={table: lines})
    text = made.configuration.read_text().splitlines()
    with socket.socket() as probe:
        # a port that cannot be bound would be told first, were one opened
        probe.bind(("127.0.0.1", made.port("smtp")))
        probe.listen()
        command = ("--nodaemon", "--pidfile=", "mailplat", "--config", str(made.configuration))
        said = call("twistd", *command, folder=folder, code=1).stderr
    faults = re.findall(r"^.*mailplat\.toml:(\d+): (.*)$", said, re.M)
    assert len(faults) == len(expected), said
    faults.sort(key=lambda fault: int(fault[0]))
    for (line, words), name in zip(faults, expected, strict=True):
        assert name in words
        assert 0 < int(line) <= len(text)
        if "TOML" not in name:
            assert name.rpartition(".")[2] in text[int(line) - 1]
    checked = call("mailplatctl", "check-config", str(made.configuration), folder=folder, code=1)
    assert set(re.findall(r":(\d+): ", checked.stderr + checked.stdout)) >= {
        line for line, _ in faults
    }


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("certificate", "server.pem"),
        ("accounts", "accounts"),
        ("store", "there is no store called"),
    ],
)
def test_what_the_configuration_names_has_to_be_there(
    folder: Path, damage: str, words: str
) -> None:
    """A missing file or plugin ends the start with a line that names it."""
    made = Installation.make(folder, "nosuch:" if damage == "store" else "memory:")
    if damage == "certificate":
        made.certificate.write_text("this is no certificate\n")
    elif damage == "accounts":
        (made.data / "accounts").unlink()
    server = TwistdServer(made)
    server.launch()
    code = server.wait()
    log = server.log()
    assert words in log
    assert "Traceback" not in log
    assert code != 0, log


def test_the_log_can_be_json(folder: Path, started: list[TwistdServer]) -> None:
    """Every line is an object; what belongs to a session has its id."""
    log = folder / "events.json"
    server = TwistdServer(
        Installation.make(
            folder, "memory:", options={"log": f'format = "json"\nfile = "{log}"\nlevel = "debug"'}
        )
    )
    started.append(server)
    server.start()
    user = server.installation.users[0]
    server.send(user, MESSAGE % b"logged")
    assert len(server.bodies(user)) == 1
    server.terminate()
    server.wait()
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"time", "level", "part", "message"} <= set(event) for event in events)
    assert not [event for event in events if event["level"] in ("error", "critical")]
    assert not [event for event in events if "traceback" in event]
    (accepted,) = [event for event in events if "accepted from" in event["message"]]
    assert accepted["session"]
    assert any("all data closed" in event["message"] for event in events)
    assert server.installation.password not in log.read_text()


def test_the_demo_runs_in_an_empty_folder(folder: Path, started: list[TwistdServer]) -> None:
    """It makes what it needs, says what to connect to, and goes on where it was."""
    for port in PORTS.values():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port + 8000))
            except OSError:
                pytest.skip(f"port {port + 8000} of the demo is taken")
    installation = Installation(folder, 8000, ["alice@example.org"], "demo")
    for run in (1, 2):
        server = TwistdServer(installation, ["--demo"])
        started.append(server)
        server.start()
        if run == 1:
            installation.certificate.symlink_to("mailplat-demo/tls/server.pem")
        said = server.log()
        for name, port in PORTS.items():
            assert re.search(rf"^ *{name}: 127\.0\.0\.1 port {port + 8000}, ", said, re.M), said
        server.send("alice@example.org", MESSAGE % b"%d" % run)
        assert len(server.bodies("alice@example.org")) == run
        server.stop()
        assert not server.complaints()
