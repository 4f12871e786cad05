"""Libraries that others write programs with: IMAPClient, aioimaplib and imapflow (Node.js)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import imapclient
import pytest

from mailplat.testing.twistd import TwistdServer

BODY = ".first\r\n\r\n..\r\nl\xe4st\r\n"
MESSAGE = ("From: a@elsewhere.example\r\nSubject: %b\r\n\r\n" + BODY).encode()
SPECIAL = [r"\Archive", r"\Drafts", r"\Junk", r"\Sent", r"\Trash"]

CLIENTS = Path(__file__).with_name("clients")


@pytest.fixture
def filled(server: TwistdServer, user: str) -> str:
    """A user with three messages in INBOX."""
    for subject in (b"one", b"two", b"three"):
        server.send(user, MESSAGE % subject)
    return user


def spend(command: Sequence[str | Path], when_idle: Callable[[], None]) -> dict[str, Any]:
    """Run a client's script, bring mail when it waits for it, and give what it saw."""
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        clock = threading.Timer(60, process.kill)
        clock.start()
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            if first == "idle\n":
                when_idle()
            said, complained = process.communicate()
        finally:
            clock.cancel()
            clock.join()
            process.kill()
    assert process.returncode == 0, first + said + complained
    saw: dict[str, Any] = json.loads(said)
    return saw


def test_imapclient(server: TwistdServer, filled: str) -> None:
    """IMAPClient lists, reads, searches, sorts, flags, moves, appends and waits in IDLE."""
    with imapclient.IMAPClient(
        "127.0.0.1",
        port=server.installation.port("imaps"),
        ssl_context=server.trust,
        timeout=20,
    ) as imap:
        imap.login(filled, server.installation.password)
        imap.id_({"name": "day"})
        assert b"CONDSTORE" in imap.enable("CONDSTORE")
        assert imap.namespace().personal == (("", "/"),)
        special = [flag.decode() for flags, _, _ in imap.list_folders() for flag in flags]
        assert [name for name in sorted(special) if name in SPECIAL] == SPECIAL
        imap.create_folder("Grüße/&")
        imap.subscribe_folder("Grüße/&")
        assert "Grüße/&" in [name for _, _, name in imap.list_sub_folders()]
        assert imap.select_folder("INBOX")[b"EXISTS"] == 3
        (first,) = imap.fetch([1], ["ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[TEXT]"]).values()
        assert first[b"ENVELOPE"].subject == b"one"
        assert first[b"BODYSTRUCTURE"][:2] == (b"text", b"plain")
        assert first[b"BODY[TEXT]"] == BODY.encode()
        assert imap.search(["SUBJECT", "two", "UNSEEN"]) == [2]
        assert imap.search(["TEXT", "läst"], charset="UTF-8") == [1, 2, 3]
        assert imap.sort(["REVERSE SUBJECT"]) == [2, 3, 1]
        assert imap.thread("REFERENCES") == ((1,), (2,), (3,))
        (flags,) = imap.add_flags([2], [imapclient.FLAGGED, b"todo"]).values()
        assert set(flags) >= {b"\\Flagged", b"todo"}
        assert imap.search(["KEYWORD", "todo"]) == [2]
        imap.move([3], "Grüße/&")
        imap.copy([1], "Grüße/&")
        imap.append("Grüße/&", MESSAGE % b"four", flags=[imapclient.DRAFT])
        assert imap.folder_status("Grüße/&", ["MESSAGES", "UIDNEXT"]) == {
            b"MESSAGES": 3,
            b"UIDNEXT": 4,
        }
        imap.delete_messages([1])
        imap.uid_expunge([1])
        imap.idle()
        server.send(filled, MESSAGE % b"five")
        pushed: list[Any] = []
        while (2, b"EXISTS") not in pushed:
            pushed += (come := imap.idle_check(timeout=20))
            assert come, pushed
        imap.idle_done()
        assert imap.search() == [2, 4]
        assert [quota.resource for quota in imap.get_quota()] == []
    assert set(server.subjects(filled)) == {"two", "five"}


def test_aioimaplib(server: TwistdServer, filled: str) -> None:
    """Aioimaplib lists, reads, searches, flags, copies, moves, appends and waits in IDLE."""
    ours = server.installation
    script = (sys.executable, CLIENTS / "aioimaplib_day.py")
    arguments = (str(ours.port("imaps")), filled, ours.password, ours.certificate)
    saw = spend([*script, *arguments], lambda: server.send(filled, MESSAGE % b"five"))
    assert saw.pop("listed") == ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"]
    assert saw == {
        "capable": [True, True],
        "exists": 3,
        "body": BODY,
        "found": "2",
        "flagged": "2",
        "status": "(MESSAGES 3 UIDNEXT 4)",
        "expunged": "1 EXPUNGE",
        "pushed": ["2 EXISTS"],
    }
    assert server.subjects(filled) == {"two": {r"\Flagged"}, "five": set()}
    assert server.subjects(filled, "Kept")["four"] == {r"\Draft"}


@pytest.fixture(scope="session")
def imapflow() -> str:
    """The folder where npm put imapflow, or skips."""
    name = "MAILPLAT_IMAPFLOW"
    folder = os.environ.get(name, "")
    if not (Path(folder) / "node_modules" / "imapflow").is_dir() or not folder:
        why = f"imapflow is not installed: npm install --prefix DIR imapflow@2, then {name}=DIR"
        if os.environ.get("MAILPLAT_NO_SKIP"):
            pytest.fail(why)
        pytest.skip(why)
    return folder


@pytest.mark.parametrize("way", ["imap", "imaps"])
def test_imapflow(
    server: TwistdServer, filled: str, needs: Callable[[str], str], imapflow: str, way: str
) -> None:
    """Imapflow does all of that, after it enabled QRESYNC and compression."""
    ours = server.installation
    script = (needs("node"), CLIENTS / "imapflow_day.mjs", imapflow)
    arguments = (str(ours.port(way)), filled, ours.password, ours.certificate)
    saw = spend(
        [*script, *arguments, "TLS" if way == "imaps" else "STARTTLS"],
        lambda: server.send(filled, MESSAGE % b"five"),
    )
    assert saw == {
        "enabled": ["CONDSTORE", "IMAP4REV2", "QRESYNC", "UTF8=ACCEPT"],
        "special": sorted([*SPECIAL, r"\Inbox"]),
        "exists": 3,
        "first": [1, "one", "a@elsewhere.example", "text/plain"],
        "body": BODY,
        "found": [2],
        "flagged": [2],
        "moved": [[3, 1]],
        "copied": [[1, 2]],
        "appended": 3,
        "status": {"path": "Kept/2026", "messages": 3, "uidNext": 4, "unseen": 3},
        "pushed": [1, 2],
        "subjects": ["two", "five"],
    }
    assert server.subjects(filled) == {"two": {r"\Flagged", "todo"}, "five": set()}
