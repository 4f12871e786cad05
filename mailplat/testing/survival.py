"""Kills a server that works, again and again, and looks whether it kept its word.

Clients send by port 25, append, flag and expunge by IMAP, and submit mail for elsewhere.  The
process ends by ``kill -9`` at a random moment of that; then it is started anew, and what is there
is held against what was answered:

- A mail that got a 250, or an APPEND that got an OK, is in the mailbox once and whole; what was
  under way is there once or not at all; all recipients of a mail have it, or none.
- No UID ever means two messages, UIDVALIDITY stays, and an expunged message does not come back.
- A mail for elsewhere that got a 250 reaches the collector.  It comes twice only if the server was
  killed before it could note that the first was taken (RFC 5321 §6.1): never twice in one life.

    survival = Survival(server, random.Random(1), collector)
    survival.begin()
    for _ in range(200):
        survival.kill_once()
    survival.end()
"""

from __future__ import annotations

import contextlib
import imaplib
import random
import re
import smtplib
import socketserver
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mailplat.testing.twistd import TwistdServer, until

__all__ = ["Changer", "Collector", "Seen", "Sender", "Survival", "look", "message"]

_MESSAGE = b"From: a@elsewhere.example\r\nSubject: %b\r\n\r\n%b\r\n"
_LINE = b"x" * 70 + b"\r\n"
_WHOLE_EVERY = 25
"""Rounds after which all bodies are read again, not only those of new messages."""


def message(name: str) -> bytes:
    """Make a message whose end says its subject; large ones go another way through the server."""
    filler = _LINE * (5000 if name.endswith("7") else 1)
    return _MESSAGE % (name.encode(), filler + name.encode())


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


def look(server: TwistdServer, user: str, whole_from: int = 1) -> Seen:
    """Read what is in INBOX.

    Args:
        server: Runs.
        user: Whose INBOX.
        whole_from: Messages from this UID on have to be whole; of others the header is read.

    Raises:
        AssertionError: A message is not whole, or not below UIDNEXT.
    """
    with server.imap("imaps", user) as imap:
        seen = Seen(int(imap.response("UIDVALIDITY")[1][0]), int(imap.response("UIDNEXT")[1][0]))
        _read(imap, seen, "1:*", "BODY.PEEK[HEADER]", whole=False)
        if seen.names and max(seen.names) >= whole_from:
            _read(imap, seen, f"{whole_from}:*", "BODY.PEEK[]", whole=True)
    assert all(uid < seen.uid_next for uid in seen.names)
    return seen


def _read(imap: imaplib.IMAP4, seen: Seen, uids: str, what: str, *, whole: bool) -> None:
    _, found = imap.uid("FETCH", uids, f"(UID FLAGS {what})")
    for part in found:
        if not isinstance(part, tuple):
            continue
        line, data = part[0].decode(), part[1]
        number = re.search(r"UID (\d+)", line)
        name = re.search(rb"\r\nSubject: (\S+)\r\n", data)
        assert number is not None
        assert name is not None, data[:200]
        # whole: its body says its subject again
        assert not whole or data.endswith(b"\r\n" + name[1] + b"\r\n"), data[-200:]
        seen.names[int(number[1])] = name[1].decode()
        flags = line.partition("FLAGS (")[2].partition(")")[0].split()
        seen.flags[int(number[1])] = frozenset(flags) - {r"\Recent"}


class Sender(threading.Thread):
    """Sends mail until the server is gone, and remembers what was answered 250.

    Args:
        server: To which.
        prefix: Of the mails' names.
        recipients: Of each mail.
        user: Who submits it; None brings it by port 25.
    """

    def __init__(
        self, server: TwistdServer, prefix: str, recipients: list[str], user: str | None = None
    ) -> None:
        super().__init__(name=f"sender {prefix}", daemon=True)
        self._server = server
        self._prefix = prefix
        self._recipients = recipients
        self._user = user
        self.tried: list[str] = []
        self.accepted: list[str] = []
        self.refused: list[smtplib.SMTPException] = []

    def run(self) -> None:
        """Send one after the other, on one connection; reads every reply."""
        listener = "smtp" if self._user is None else "submission"
        sender = self._user or "a@elsewhere.example"
        try:
            with self._server.smtp(listener, self._user) as smtp:
                while True:
                    name = f"{self._prefix}-{len(self.tried)}"
                    self.tried.append(name)
                    smtp.sendmail(sender, self._recipients, message(name))
                    self.accepted.append(name)
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
            self.refused.append(error)
        except OSError:
            pass  # the server is gone


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


class Collector(socketserver.ThreadingTCPServer):
    """A server elsewhere: takes all mail by SMTP, and notes what it took a 250's worth of.

    Attributes:
        life: Counts the lives of the server under test; set by `Survival`.
        taken: The name of each mail that came, with the life in which it did.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.life = 0
        self.taken: list[tuple[str, int]] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return int(self.server_address[1])

    @property
    def options(self) -> dict[str, str]:
        """Options of an `Installation` that sends all mail for elsewhere here."""
        return {
            "smarthost": f'host = "127.0.0.1"\nport = {self.port}\n',
            "relay": 'tls = "never"\n',
            "queue": 'first_retry = "1s"\nlongest_retry = "2s"\n',
        }

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    @property
    def names(self) -> set[str]:
        """What came."""
        return {name for name, _ in self.taken}

    def doubled(self) -> list[str]:
        """Tell what came more than once; it may have, but never in one life.

        Raises:
            AssertionError: Something came twice in one life.
        """
        assert max(Counter(self.taken).values(), default=1) == 1, "doubled without a kill"
        times = Counter(name for name, _ in self.taken)
        return [name for name in times if times[name] > 1]


class _Taking(socketserver.StreamRequestHandler):
    """One connection to a `Collector`; no extensions, so the mail comes by DATA."""

    server: Collector

    def handle(self) -> None:
        """Answer until the peer leaves, or dies."""
        with contextlib.suppress(OSError):
            self._say("220 elsewhere.example ESMTP")
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    self._say("354 go on")
                    if not self._take():
                        return
                self._say("221 bye" if verb == b"QUIT" else "250 ok")

    def _take(self) -> bool:
        """Read a mail; whether its end came."""
        lines: list[bytes] = []
        life = self.server.life
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line)
        (name,) = [line.split()[1].decode() for line in lines if line.startswith(b"Subject: ")]
        assert lines[-1].decode() == name + "\r\n", "the mail is not whole"
        self.server.taken.append((name, life))
        return True

    def _say(self, reply: str) -> None:
        self.wfile.write(reply.encode() + b"\r\n")


class Survival:
    """Kills and looks.

    Args:
        server: Over a store that survives; not started; two users at least.
        chance: Chooses the moments.
        collector: Takes mail for elsewhere, where the server sends it; None sends none.
        busy: What has to be accepted before a kill, by each kind of client.
        seconds: The moment comes within so many after that.
    """

    def __init__(
        self,
        server: TwistdServer,
        chance: random.Random,
        collector: Collector | None = None,
        *,
        busy: int = 3,
        seconds: float = 0.3,
    ) -> None:
        self._server = server
        self._chance = chance
        self._collector = collector
        self._busy = busy
        self._seconds = seconds
        self._users = list(server.installation.users[:2])
        self._tried: set[str] = set()
        self._meant: dict[int, str] = {}  # of the first user: what each UID was seen to be
        self._gone: set[int] = set()
        self._uid_validity: int | None = None
        self._looked = dict.fromkeys(self._users, 1)
        self.kills = 0
        self.accepted: list[str] = []
        self.relayed: list[str] = []

    def begin(self) -> None:
        """Start the server."""
        self._server.start()

    def kill_once(self) -> None:
        """Let clients work, kill the server, start it anew, and look.

        Raises:
            AssertionError: Something is lost, doubled, cut, or under another's UID.
        """
        prefix, users = f"r{self.kills}", self._users
        senders = [
            Sender(self._server, f"{prefix}s0", users),
            Sender(self._server, f"{prefix}s1", users[:1]),
            Sender(self._server, f"{prefix}s2", users),
        ]
        submitters = [
            Sender(self._server, f"{prefix}o{n}", ["x@elsewhere.example"], users[1])
            for n in range(2 if self._collector is not None else 0)
        ]
        changer = Changer(self._server, f"{prefix}c", users[0])
        threads = [*senders, *submitters, changer]
        for thread in threads:
            thread.start()

        def at_work() -> bool:
            busy = all(len(one.accepted) > self._busy for one in (senders[0], *submitters))
            return busy and len(changer.gone) > self._busy // 2

        until(at_work, seconds=60)
        time.sleep(self._chance.uniform(0.0, self._seconds))  # at any moment of their work
        self._server.kill()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        for sender in (*senders, *submitters):
            assert not sender.refused, sender.refused
        self.kills += 1
        if self._collector is not None:
            self._collector.life += 1
        self._server.start()
        self._tried.update(changer.tried, *(sender.tried for sender in senders))
        self.accepted += [name for sender in senders for name in sender.accepted]
        self.accepted += [n for uid, n in changer.appended.items() if uid not in changer.going]
        self.relayed += [name for sender in submitters for name in sender.accepted]
        self._meant.update(changer.appended)
        self._gone |= changer.gone
        self._look()

    def _look(self) -> None:
        if self.kills % _WHOLE_EVERY == 0:
            self._looked = dict.fromkeys(self._users, 1)
        first, second = [look(self._server, user, self._looked[user]) for user in self._users]
        self._looked = dict(zip(self._users, (first.uid_next, second.uid_next), strict=True))
        assert self._uid_validity in (None, first.uid_validity)
        self._uid_validity = first.uid_validity
        counts = Counter(first.names.values())
        assert set(counts) <= self._tried
        assert set(counts.values()) <= {1}, "doubled"
        assert not set(self.accepted) - set(counts), "lost"
        assert set(Counter(second.names.values()).values()) <= {1}, "doubled"
        # all recipients of a mail have it, or none
        assert {name for name in counts if re.search(r"s[02]-", name)} == set(second.names.values())
        for uid, name in first.names.items():
            assert self._meant.setdefault(uid, name) == name, "a UID means another message"
            assert uid not in self._gone, "an expunged message is back"
        last = f"after-{self.kills}"
        self._server.send(self._users[0], message(last))
        self._tried.add(last)
        self.accepted.append(last)
        names = look(self._server, self._users[0], first.uid_next).names
        (new,) = set(names) - set(first.names)
        assert new > max(self._meant)
        assert new >= first.uid_next
        self._meant[new] = last

    def end(self, *, seconds: float = 120.0) -> None:
        """See that all that was to go elsewhere has come there, and stop the server.

        Raises:
            AssertionError: Something has not, or came twice without a kill between.
        """
        if self._collector is not None:
            collector, wanted = self._collector, set(self.relayed)
            until(lambda: wanted <= collector.names, seconds=seconds, say="all is relayed")
            collector.doubled()
        self._server.stop(seconds=60)
