"""What was accepted survives: restarts, SIGTERM in the middle of a mail, and kill -9."""

from __future__ import annotations

import contextlib
import imaplib
import random
import re
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from mailplat.testing.twistd import PORTS, TwistdServer, until

MESSAGE = b"From: a@elsewhere.example\r\nSubject: %b\r\n\r\n%b\r\n"


@dataclass
class Seen:
    """A mailbox as a client finds it.

    Attributes:
        uid_validity: What makes the UIDs count.
        uid_next: No lower one comes.
        names: The messages' subjects by their UIDs.
        flags: Their flags.
    """

    uid_validity: int
    uid_next: int
    names: dict[int, str] = field(default_factory=dict)
    flags: dict[int, frozenset[str]] = field(default_factory=dict)


def look(server: TwistdServer, user: str) -> Seen:
    """Read what is in INBOX; every message has to be whole."""
    with server.imap("imaps", user) as imap:
        seen = Seen(int(imap.response("UIDVALIDITY")[1][0]), int(imap.response("UIDNEXT")[1][0]))
        _, found = imap.fetch("1:*", "(UID FLAGS BODY.PEEK[])")
        for part in found:
            if isinstance(part, tuple):
                line, body = part[0].decode(), part[1]
                match = re.search(r"UID (\d+)", line)
                assert match is not None
                uid = int(match[1])
                name = re.search(rb"\r\nSubject: (\S+)\r\n", body)
                assert name is not None
                # whole: its body says its subject again
                assert body.endswith(name[1] + b"\r\n"), body
                seen.names[uid] = name[1].decode()
                flags = line.partition("FLAGS (")[2].partition(")")[0].split()
                seen.flags[uid] = frozenset(flags) - {r"\Recent"}
        assert all(uid < seen.uid_next for uid in seen.names)
        return seen


def message(name: str) -> bytes:
    """A message whose end says its subject; large ones go another way through the server."""
    filler = b"x" * (400_000 if name.endswith("7") else 50)
    return MESSAGE % (name.encode(), filler + b"\r\n" + name.encode())


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


class Sender(threading.Thread):
    """Sends mail until the server is gone, and remembers what was answered 250."""

    def __init__(self, server: TwistdServer, prefix: str, users: list[str]) -> None:
        super().__init__(name=f"sender {prefix}", daemon=True)
        self._server = server
        self._prefix = prefix
        self._users = users
        self.tried: list[str] = []
        self.accepted: list[str] = []

    def run(self) -> None:
        """Send one after the other, on one connection; reads every reply."""
        with contextlib.suppress(OSError, smtplib.SMTPException), self._server.smtp() as smtp:
            while True:
                name = f"{self._prefix}-{len(self.tried)}"
                self.tried.append(name)
                smtp.sendmail("a@elsewhere.example", self._users, message(name))
                self.accepted.append(name)


class Changer(threading.Thread):
    """Appends, flags and expunges by IMAP until the server is gone.

    Attributes:
        appended: Names by UID, as APPENDUID told them.
        tried: Names that may be there.
        gone: UIDs whose expunge was answered OK.
        going: UIDs that may be gone.
    """

    def __init__(self, server: TwistdServer, prefix: str, user: str) -> None:
        super().__init__(name=f"changer {prefix}", daemon=True)
        self._server = server
        self._prefix = prefix
        self._user = user
        self.appended: dict[int, str] = {}
        self.tried: list[str] = []
        self.gone: set[int] = set()
        self.going: set[int] = set()

    def run(self) -> None:
        """Append always, expunge the newest now and then: their UIDs must not come again."""
        gone = (OSError, imaplib.IMAP4.error, imaplib.IMAP4.abort)
        with contextlib.suppress(*gone), self._server.imap("imaps", self._user) as imap:
            while True:
                name = f"{self._prefix}-{len(self.tried)}"
                self.tried.append(name)
                kind, said = imap.append("INBOX", "", "", message(name))
                assert kind == "OK"
                told = re.search(rb"APPENDUID \d+ (\d+)", said[0])
                assert told is not None
                uid = int(told[1])
                self.appended[uid] = name
                if len(self.tried) % 3 == 0:
                    self.going.add(uid)
                    imap.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Deleted)")
                    kind, _ = imap.uid("EXPUNGE", str(uid))
                    assert kind == "OK"
                    self.gone.add(uid)


ROUNDS = 3


def test_kill_loses_nothing_and_doubles_nothing(durable: TwistdServer) -> None:
    """What was answered is there exactly once after kill -9; no UID means two messages."""
    users = list(durable.installation.users[:2])
    accepted: list[str] = []
    tried: set[str] = set()
    meant: dict[int, str] = {}  # of the first user: what each UID was seen to be
    gone: set[int] = set()
    uid_validity = None
    chance = random.Random(11)
    durable.start()
    for number in range(ROUNDS):
        senders = [
            Sender(durable, f"r{number}s0", users),
            Sender(durable, f"r{number}s1", users[:1]),
            Sender(durable, f"r{number}s2", users),
        ]
        changer = Changer(durable, f"r{number}c", users[0])
        for thread in (*senders, changer):
            thread.start()
        until(lambda: len(senders[0].accepted) > 5 and len(changer.gone) > 2)  # noqa: B023
        time.sleep(chance.uniform(0.0, 0.3))  # at any moment of their work
        durable.kill()
        for thread in (*senders, changer):
            thread.join(30)
            assert not thread.is_alive()
        durable.start()
        tried.update(changer.tried, *(sender.tried for sender in senders))
        accepted += [name for sender in senders for name in sender.accepted]
        accepted += [name for uid, name in changer.appended.items() if uid not in changer.going]
        first, second = look(durable, users[0]), look(durable, users[1])
        assert uid_validity in (None, first.uid_validity)
        uid_validity = first.uid_validity
        counts = Counter(first.names.values())
        assert set(counts) <= tried
        assert set(counts.values()) <= {1}
        assert not set(accepted) - set(counts)
        assert set(Counter(second.names.values()).values()) <= {1}
        both = {name for name in accepted if re.search(r"s[02]-", name)}
        assert both <= set(second.names.values())
        # all recipients of a mail have it, or none
        mail = {name for name in counts if re.search(r"s[02]-", name)}
        assert mail == set(second.names.values())
        meant.update(changer.appended)
        gone |= changer.gone
        for uid, name in first.names.items():
            assert meant.setdefault(uid, name) == name
            assert uid not in gone
        durable.send(users[0], message(f"after-{number}"))
        tried.add(f"after-{number}")
        accepted.append(f"after-{number}")
        (new,) = set(look(durable, users[0]).names) - set(first.names)
        assert new > max(meant)
        assert new >= first.uid_next
        meant[new] = f"after-{number}"
    durable.stop()


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
