"""What was accepted survives: restarts, SIGTERM in the middle of a mail, and kill -9."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.testing.survival import Collector, Survival, look, message
from mailplat.testing.twistd import PORTS, Installation, TwistdServer, until


def test_a_restart_changes_nothing(durable: TwistdServer) -> None:
    """Messages, flags, UIDs, mailboxes and subscriptions are the same; the next UID goes on."""
    user = durable.installation.users[0]
    durable.start()
    for name in ("one", "two", "three"):
        durable.send(user, message(name))
    with durable.imap("imaps", user) as imap:
        imap.create("Projects/2026")
        imap.subscribe("Projects/2026")
        imap.store("1", "+FLAGS", r"(\Seen todo)")
        imap.store("3", "+FLAGS", r"(\Deleted)")
        imap.expunge()
        boxes, subscribed = imap.list(), imap.lsub()
    before = look(durable, user)
    durable.stop()
    durable.start()
    assert look(durable, user) == before
    assert before.names == {1: "one", 2: "two"}
    assert before.flags[1] == {r"\Seen", "todo"}
    with durable.imap("imaps", user) as imap:
        assert (imap.list(), imap.lsub()) == (boxes, subscribed)
    durable.send(user, message("four"))
    assert look(durable, user).names[4] == "four"
    durable.stop()


def read_reply(lines: Iterator[bytes]) -> bytes:
    """Read an SMTP reply; give its last line."""
    while (line := next(lines))[3:4] == b"-":
        pass
    return line


def test_sigterm_lets_a_mail_under_way_end(durable: TwistdServer) -> None:
    """No new connections, but the message that is coming is taken; then the server ends well."""
    user = durable.installation.users[0]
    durable.start()
    with durable.connect("smtp") as wire, wire.makefile("rb") as lines:
        assert read_reply(lines).startswith(b"220")
        wire.sendall(b"EHLO me\r\n")
        assert read_reply(lines).startswith(b"250")
        wire.sendall(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<%b>\r\nDATA\r\n" % user.encode())
        assert [read_reply(lines)[:3] for _ in range(3)] == [b"250", b"250", b"354"]
        text = message("slow")
        wire.sendall(text[:40])
        with durable.connect("imap") as bystander:
            assert bystander.recv(4) == b"* OK"
            durable.terminate()
            said = b""
            while more := bystander.recv(4096):  # told goodbye, and left
                said += more
            assert b"* BYE" in said

        def refused() -> bool:
            try:
                durable.connect("smtp").close()
            except OSError:
                return True
            return False

        until(refused)
        wire.sendall(text[40:] + b".\r\n")
        assert read_reply(lines).startswith(b"250")
        assert next(lines).startswith(b"421")
        assert lines.read() == b""
    durable.wait()
    assert "all data closed" in durable.log()
    durable.start()
    assert list(look(durable, user).names.values()) == ["slow"]
    durable.stop()


ROUNDS = 2
"""Kills; `python -m bench survival` does hundreds."""


@pytest.mark.parametrize("store", ["sql:sqlite:///mail.db", "maildir:mail"], ids=["sql", "maildir"])
def test_kill_loses_nothing_and_doubles_nothing(tmp_path: Path, store: str) -> None:
    """What was answered is there, or elsewhere, exactly once after kill -9."""
    with Collector() as collector:
        made = Installation.make(tmp_path, store, users=2, options=collector.options)
        server = TwistdServer(made)
        try:
            survival = Survival(server, random.Random(11), collector)
            survival.begin()
            for _ in range(ROUNDS):
                survival.kill_once()
            survival.end()
        finally:
            server.end()
    assert survival.accepted
    assert survival.relayed
    assert not server.complaints(), "\n".join(server.complaints())


def test_who_only_waits_holds_up_no_stop(durable: TwistdServer) -> None:
    """Idle sessions of every kind are told goodbye, and the server is gone at once."""
    user, password = durable.installation.users[0], durable.installation.password
    durable.start()
    with contextlib.ExitStack() as stack:
        for name in PORTS:
            stack.enter_context(durable.connect(name))
        idler = stack.enter_context(durable.connect("imaps", tls=True))
        lines = stack.enter_context(idler.makefile("rb"))
        idler.sendall(f"a LOGIN {user} {password}\r\nb SELECT INBOX\r\nc IDLE\r\n".encode())
        while not lines.readline().startswith(b"+ "):
            pass
        begun = time.monotonic()
        durable.terminate()
        assert b"\r\n* BYE" in b"\r\n" + lines.read()
        lines.close()
        idler.close()
        durable.wait()
        assert time.monotonic() - begun < 5
    assert "all data closed" in durable.log()
