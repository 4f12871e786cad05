"""The quick start's commands, as they stand there."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailplat.testing.twistd import PORTS, until

PAGE = Path(__file__).parents[2] / "docs" / "quickstart.md"

INSTALL = "python3 -m venv .venv && .venv/bin/pip install -q . && "


def blocks() -> list[str]:
    """Give the page's shell blocks in order."""
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


class Shell:
    """Runs the page's commands in a folder of its own.

    What the first block installs is what these tests run in: ``.venv`` leads there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[subprocess.Popen[bytes]] = []
        (folder / ".venv").symlink_to(sys.prefix)
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        }

    def _adapted(self, commands: str) -> str:
        return commands.replace("/tmp/mymail", str(self._folder / "mymail"))

    def run(self, commands: str) -> str:
        """Run commands that end by themselves; give what they print."""
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", self._adapted(commands)],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def serve(self, command: str, port: int) -> None:
        """Start a server, and wait until it answers."""
        log = (self._folder / "log").open("ab")
        with log:
            process = subprocess.Popen(
                ["bash", "-c", "exec " + self._adapted(command)],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._servers.append(process)

        def greets() -> bool:
            assert process.poll() is None, (self._folder / "log").read_text()
            try:
                with socket.create_connection(("127.0.0.1", port), 2) as wire:
                    return wire.recv(4) == b"* OK"
            except OSError:
                return False

        until(greets, seconds=60)

    def stop(self) -> None:
        """Stop the servers that were started."""
        for process in self._servers:
            process.send_signal(signal.SIGTERM)
        for process in self._servers:
            try:
                process.wait(30)
            finally:
                process.kill()
        self._servers.clear()
        assert "Traceback" not in (self._folder / "log").read_text()


@pytest.fixture
def shell(tmp_path: Path, needs: Callable[[str], str]) -> Iterator[Shell]:
    """A shell in an empty folder."""
    needs("curl")
    for offset in (8000, 9000):
        for port in PORTS.values():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port + offset))
                except OSError:
                    pytest.skip(f"port {port + offset} of the quick start is taken")
    made = Shell(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def test_the_quick_start_works(shell: Shell) -> None:
    """Every command of the page does what the page says."""
    demo, look, own, accounts = blocks()
    assert demo.startswith(INSTALL)
    shell.serve(demo.removeprefix(INSTALL).strip(), 8143)
    assert "It works." in shell.run(look)
    shell.stop()
    *setup, serve = own.strip().splitlines()
    shell.run("\n".join(setup))
    shell.serve(serve, 9143)
    listed = shell.run(accounts)
    assert "alice@example.org" in listed
    assert "bob@example.org" in listed
    read = "curl -sS --insecure --user {} imaps://127.0.0.1:9993/"
    assert "INBOX" in shell.run(read.format("alice@example.org:secret"))
    # a wrong log-in would slow down the next: mail tells when bob is known
    send = (
        "printf 'Subject: x\\r\\n\\r\\nx\\r\\n' | curl -sS --url smtp://127.0.0.1:9025 "
        "--mail-from a@elsewhere.example --mail-rcpt bob@example.org --upload-file - "
        "&& echo accepted || true"
    )
    until(lambda: "accepted" in shell.run(send))
    assert "INBOX" in shell.run(read.format("bob@example.org:secret2"))
