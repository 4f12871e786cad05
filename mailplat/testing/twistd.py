"""A mailplat server as its operator runs it: a ``twistd`` process over a folder, for tests.

Invariants:

- Everything is in one folder that the caller owns; ports are on 127.0.0.1 alone.
- Nothing waits for a fixed time: what is waited for is asked again until a deadline.
- Only the process that was started here is ever signalled.

    server = TwistdServer(Installation.make(folder, "memory:"))
    server.start()
    with server.imap("imaps", "u000@example.org") as imap:
        ...
    server.stop()
    assert not server.complaints()
"""

from __future__ import annotations

import contextlib
import imaplib
import os
import poplib
import random
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mailplat.net.selfsigned import write_self_signed

__all__ = ["PORTS", "Installation", "TwistdServer", "find_port_offset", "program", "until"]

PORTS = {
    "smtp": 25,
    "submission": 587,
    "submissions": 465,
    "pop3": 110,
    "pop3s": 995,
    "imap": 143,
    "imaps": 993,
}
"""The standard ports, by the names of their listeners."""

DOMAIN = "example.org"

_COMPLAINT = re.compile(r"Traceback|Unhandled|#(?:error|critical)\b|\bcritical\b")


def until(what: Callable[[], Any], *, seconds: float = 20.0, say: str = "") -> Any:
    """Ask again until the answer is true, and give it.

    Raises:
        AssertionError: It was not in time.
    """
    end = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < end, f"not within {seconds} s: {say or what}"
        time.sleep(0.02)
    return answer


def program(name: str) -> str:
    """Give the path of a script that is installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def find_port_offset() -> int:
    """Find an offset at which all standard ports are free on 127.0.0.1."""
    for _ in range(200):
        offset = random.randrange(10_000, 31_000)  # below the ports that clients are given
        if all(_free(offset + port) for port in PORTS.values()):
            return offset
    raise AssertionError("no free ports")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Installation:
    """A folder that a server can run in.

    Attributes:
        directory: The folder.
        offset: Added to the standard port numbers.
        users: Names of accounts, all with the password `password`.
    """

    directory: Path
    offset: int
    users: Sequence[str]
    password: str = "pass-word"

    @classmethod
    def make(
        cls,
        directory: Path,
        store: str,
        *,
        users: int = 80,
        options: Mapping[str, str] | None = None,
        offset: int | None = None,
        accounts: str = "",
    ) -> Installation:
        """Write configuration, certificate and accounts.

        Args:
            directory: A folder that is there.
            store: The store's description.
            users: How many accounts: ``u000@example.org``, ``u001@example.org``...
            options: Lines of TOML by the name of their table, besides the store.
            offset: Of the ports; None looks for one that is free.
            accounts: Further lines of the accounts file.
        """
        made = cls(
            directory,
            find_port_offset() if offset is None else offset,
            [f"u{number:03}@{DOMAIN}" for number in range(users)],
        )
        tables = {
            "server": f'hostname = "mail.{DOMAIN}"\ndomains = ["{DOMAIN}"]\n'
            f'listen = ["127.0.0.1"]\nport_offset = {made.offset}\n',
            "tls": 'certificate = "server.pem"\nkey = "server.pem"\n',
            "store": f'use = "{store}"\n',
            "accounts": 'use = "file:accounts"\n',
            "limits": "connections_by_address = 1000\n",
            # the throttle counts this machine as one client, whoever guesses
            "auth": 'failure_delays = ["10ms"]\n',
        }
        for table, lines in (options or {}).items():
            tables[table] = tables.get(table, "") + lines + "\n"
        text = "\n".join(f"[{table}]\n{lines}" for table, lines in tables.items())
        made.configuration.write_text(text)
        write_self_signed(made.certificate, ["localhost", "127.0.0.1"], datetime.now(UTC))
        made.data.mkdir(exist_ok=True)
        # in clear: hashing is not what takes time here
        rows = [f"{user}:{{PLAIN}}{made.password}\n" for user in made.users]
        (made.data / "accounts").write_text("".join(rows) + accounts)
        return made

    @property
    def configuration(self) -> Path:
        """The configuration file."""
        return self.directory / "mailplat.toml"

    @property
    def certificate(self) -> Path:
        """The certificate, and its key."""
        return self.directory / "server.pem"

    @property
    def data(self) -> Path:
        """Where mail and accounts are."""
        return self.directory / "data"

    def port(self, name: str) -> int:
        """Tell a listener's port."""
        return PORTS[name] + self.offset


class TwistdServer:
    """Runs ``twistd mailplat`` over an installation, and knows how to reach it.

    Args:
        installation: The folder.
        arguments: What stands behind ``twistd mailplat``; None for ``--config FILE``.
    """

    def __init__(self, installation: Installation, arguments: Sequence[str] | None = None) -> None:
        self.installation = installation
        self._arguments = (
            ["--config", str(installation.configuration)] if arguments is None else arguments
        )
        self._process: subprocess.Popen[bytes] | None = None

    # The process.

    @property
    def log_file(self) -> Path:
        """Standard output and error of all runs."""
        return self.installation.directory / "log"

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process, and wait for nothing."""
        assert self._process is None
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(program("twistd"), "--nodaemon", "--pidfile=", "mailplat"),
                    *self._arguments,
                ],
                cwd=self.installation.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self._process

    def start(self, *, seconds: float = 60.0) -> None:
        """Start the process and wait until its last port answers.

        Raises:
            AssertionError: It does not, or the process ended.
        """
        self.launch()
        until(self._answers, seconds=seconds, say="the server greets")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the server did not start:\n{self.log()}"
        # ports are bound before anybody is accepted: only a greeting tells
        try:
            with socket.create_connection(("127.0.0.1", self.installation.port("imap")), 2) as one:
                return one.recv(4) == b"* OK"
        except OSError:
            return False

    def terminate(self) -> None:
        """Ask the process to stop, as a service manager does."""
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, *, seconds: float = 30.0) -> int:
        """Wait for the process's end, and give its exit code.

        Raises:
            AssertionError: It did not end; it is killed.
        """
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"the server did not stop:\n{self.log()[-4000:]}") from None
        finally:
            self._process = None

    def stop(self, *, seconds: float = 30.0) -> None:
        """Stop the process as a service manager does; it has to end well.

        Raises:
            AssertionError: It did not.
        """
        before = len(self.log())
        self.terminate()
        code = self.wait(seconds=seconds)
        said = self.log()[before:]
        # Twisted ends the process by the signal itself, once all is closed
        assert code in (0, -signal.SIGTERM), f"exit code {code}:\n{said}"
        assert "all data closed" in said, said

    def kill(self) -> None:
        """End the process at once, whatever it does (``kill -9``)."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def end(self) -> None:
        """Leave nothing running, however a test went."""
        if self._process is not None:
            self.kill()

    def memory(self) -> int:
        """Tell the process's resident memory in bytes (Linux)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    # The log.

    def log(self) -> str:
        """Give all that was logged."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def complaints(self, start: int = 0) -> list[str]:
        """Give the lines of the log, from a character on, that no server should write."""
        lines = self.log()[start:].splitlines()
        found = [number for number, line in enumerate(lines) if _COMPLAINT.search(line)]
        if not found:
            return []
        return lines[max(0, found[0] - 2) : found[0] + 40]

    # Clients: Python's own.

    @property
    def trust(self) -> ssl.SSLContext:
        """What makes a client trust the server's certificate."""
        return ssl.create_default_context(cafile=str(self.installation.certificate))

    def connect(self, name: str, *, tls: bool = False, timeout: float = 20.0) -> socket.socket:
        """Open a bare connection to a listener; ``tls`` shakes hands at once."""
        wire = socket.create_connection(("127.0.0.1", self.installation.port(name)), timeout)
        if not tls:
            return wire
        try:
            return self.trust.wrap_socket(wire, server_hostname="127.0.0.1")
        except BaseException:
            wire.close()
            raise

    @contextlib.contextmanager
    def smtp(self, name: str = "smtp", user: str | None = None) -> Iterator[smtplib.SMTP]:
        """Speak SMTP; with a user, under TLS and logged in."""
        port = self.installation.port(name)
        client: smtplib.SMTP
        if name == "submissions":
            client = smtplib.SMTP_SSL("127.0.0.1", port, timeout=20, context=self.trust)
        else:
            client = smtplib.SMTP("127.0.0.1", port, timeout=20)
        with contextlib.closing(client):
            if user is not None:
                if name != "submissions":
                    client.starttls(context=self.trust)
                client.login(user, self.installation.password)
            yield client
            with contextlib.suppress(smtplib.SMTPServerDisconnected):
                client.quit()

    @contextlib.contextmanager
    def pop3(self, name: str, user: str | None = None) -> Iterator[poplib.POP3]:
        """Speak POP3, under TLS; with a user, logged in.  QUIT is sent at the end."""
        port = self.installation.port(name)
        client: poplib.POP3
        if name == "pop3s":
            client = poplib.POP3_SSL("127.0.0.1", port, timeout=20, context=self.trust)
        else:
            client = poplib.POP3("127.0.0.1", port, timeout=20)
        try:
            if name == "pop3":
                client.stls(self.trust)
            if user is not None:
                client.user(user)
                client.pass_(self.installation.password)
            yield client
            client.quit()
        finally:
            client.close()

    @contextlib.contextmanager
    def imap(self, name: str, user: str | None = None) -> Iterator[imaplib.IMAP4]:
        """Speak IMAP, under TLS; with a user, logged in and in INBOX.  LOGOUT ends it."""
        port = self.installation.port(name)
        client: imaplib.IMAP4
        if name == "imaps":
            client = imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=self.trust, timeout=20)
        else:
            client = imaplib.IMAP4("127.0.0.1", port, timeout=20)
        try:
            if name == "imap":
                client.starttls(self.trust)
            if user is not None:
                client.login(user, self.installation.password)
                kind, said = client.select()
                assert kind == "OK", said
            yield client
            client.logout()
        except BaseException:
            with contextlib.suppress(OSError):
                client.shutdown()
            raise

    def bodies(self, user: str, mailbox: str = "INBOX") -> list[bytes]:
        """Give all messages of a mailbox as IMAP gives them."""
        with self.imap("imaps", user) as imap:
            kind, said = imap.select(mailbox, readonly=True)
            assert kind == "OK", said
            if said == [b"0"]:
                return []
            _, found = imap.fetch("1:*", "(BODY.PEEK[])")
            return [part[1] for part in found if isinstance(part, tuple)]

    def subjects(self, user: str, mailbox: str = "INBOX") -> dict[str, set[str]]:
        """Tell the messages of a mailbox by subject, with their flags."""
        told: dict[str, set[str]] = {}
        with self.imap("imaps", user) as imap:
            kind, said = imap.select(mailbox, readonly=True)
            assert kind == "OK", said
            if said == [b"0"]:
                return {}
            _, found = imap.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            for part in found:
                if isinstance(part, tuple):
                    flags = part[0].decode().partition("FLAGS (")[2].partition(")")[0]
                    told[part[1].decode().split()[1]] = set(flags.split()) - {r"\Recent"}
        return told

    def send(self, user: str, message: bytes, sender: str = "someone@elsewhere.example") -> None:
        """Bring a user mail by port 25."""
        with self.smtp() as smtp:
            assert not smtp.sendmail(sender, [user], message)
