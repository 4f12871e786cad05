"""A disk without room: mail is put off with 452, nothing is kept by halves, and it goes on."""

from __future__ import annotations

import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.testing.survival import Collector, look, message
from mailplat.testing.twistd import Installation, TwistdServer, program, until

STORES = {"sql": "sql:sqlite:///mail.db", "maildir": "maildir:mail"}
DISK = 24 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The data directory of an installation, on a disk of its own."""
    directory = tmp_path / "server" / "data"
    directory.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "mailplat-test", str(directory)]
    try:
        done = subprocess.run(words, capture_output=True, check=False, timeout=20)
    except OSError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.decode()}")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True, timeout=20)


def bring(server: TwistdServer, name: str, recipient: str, submits: str | None = None) -> int:
    """Send a mail; tell the code of the first answer that refuses it, or 250."""
    listener = "submission" if submits else "smtp"
    with server.smtp(listener, submits) as smtp:
        try:
            smtp.sendmail(submits or "a@elsewhere.example", [recipient], message(name))
        except smtplib.SMTPRecipientsRefused as error:
            ((code, _),) = error.recipients.values()
            return code
        except smtplib.SMTPResponseException as error:
            return error.smtp_code
    return 250


@pytest.mark.parametrize("store", STORES)
def test_a_full_disk(small_disk: Path, store: str) -> None:
    """452 to mailboxes and for elsewhere; what was accepted is served; with room all goes on."""
    with Collector() as collector:
        made = Installation.make(
            small_disk.parent, STORES[store], users=2, options=collector.options
        )
        server, user, other = TwistdServer(made), *made.users
        try:
            server.start()
            accepted = {n for n in range(3) if bring(server, f"early-{n}7", user) == 250}
            assert len(accepted) == 3
            names = {f"early-{n}7" for n in range(3)}
            ballast = small_disk / "ballast"
            with ballast.open("wb", buffering=0) as file:
                room = True
                while room:
                    try:
                        room = file.write(bytes(1 << 16)) == 1 << 16
                    except OSError:
                        room = False
            codes: list[int] = []

            def refused() -> bool:
                """Some find room in what was set aside before."""
                for kind in ("x", "7"):
                    name = f"full-{len(codes)}{kind}"
                    codes.append(bring(server, name, user))
                    if codes[-1] == 250:
                        names.add(name)
                return codes[-2:] == [452, 452]

            until(refused, seconds=60)
            assert set(codes) <= {250, 452}
            assert bring(server, "sent-7", "x@elsewhere.example", other) == 452
            assert sorted(look(server, user).names.values()) == sorted(names)
            ballast.unlink()
            for number in range(3):
                assert bring(server, f"later-{number}7", user) == 250
                names.add(f"later-{number}7")
            assert bring(server, "sent-again", "x@elsewhere.example", other) == 250
            until(lambda: "sent-again" in collector.names)
            assert sorted(look(server, user).names.values()) == sorted(names)
            server.stop()
            words = [program("mailplatctl"), "store", "verify", "--config", str(made.configuration)]
            told = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
            assert "No faults." in told.stdout + told.stderr
            server.start()
            assert sorted(look(server, user).names.values()) == sorted(names)
            server.stop()
        finally:
            server.end()
    assert collector.names == {"sent-again"}
