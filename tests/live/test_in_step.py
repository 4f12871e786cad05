"""Several IMAP clients change one mailbox at once, and none is ever out of step.

Each client believes every response, and knows by EXISTS and EXPUNGE alone which message has which
number; what FETCH says must agree with that, always (RFC 9051 §5.5, §7.5.1).
"""

from __future__ import annotations

import random
import re
import threading

from mailplat.testing.twistd import TwistdServer

MESSAGE = b"Subject: x\r\n\r\nx\r\n"


class Believer:
    """A client that counts for itself.

    Attributes:
        uids: By sequence number; None where no response told the UID yet.
    """

    def __init__(self, server: TwistdServer, user: str, seed: int) -> None:
        self._wire = server.connect("imaps", tls=True)
        self._lines = self._wire.makefile("rb")
        self._count = 0
        self._random = random.Random(seed)
        self.uids: list[int | None] = []
        self.seen: set[int] = set()
        assert self._lines.readline().startswith(b"* OK")
        self.ask(f"LOGIN {user} {server.installation.password}".encode())
        self.ask(b"SELECT INBOX")

    def ask(self, command: bytes, *, expunge: bool = True) -> bytes:
        """Send a command, believe all responses, give the last one."""
        self._count += 1
        tag = b"t%d" % self._count
        self._wire.sendall(tag + b" " + command + b"\r\n")
        while True:
            line = self._lines.readline()
            assert line.endswith(b"\r\n"), line
            if line.startswith(tag):
                return line
            self._believe(line, command, expunge=expunge)

    def _believe(self, line: bytes, command: bytes, *, expunge: bool) -> None:
        told = re.match(rb"\* (\d+) (EXISTS|EXPUNGE|FETCH)(.*)", line)
        if told is None:
            assert line.startswith((b"* ", b"+ ")), line
            return
        number, kind = int(told[1]), told[2]
        if kind == b"EXISTS":
            assert number >= len(self.uids), (line, len(self.uids))
            self.uids += [None] * (number - len(self.uids))
            return
        assert 1 <= number <= len(self.uids), (line, len(self.uids))
        if kind == b"EXPUNGE":
            # never where the client may still count on its numbers
            assert expunge, (command, line)
            del self.uids[number - 1]
        elif uid := re.search(rb"[( ]UID (\d+)", told[3]):
            known = self.uids[number - 1]
            assert known in (None, int(uid[1])), (line, known)
            self.uids[number - 1] = int(uid[1])

    def check(self) -> None:
        """Ask for every UID; each must be where it was believed to be, in rising order."""
        said = self.ask(b"FETCH 1:* (UID)", expunge=False) if self.uids else b" OK"
        # messages that are gone, but not told yet, may be missing (RFC 2180 §4.1.2)
        assert b" OK" in said or b" NO" in said, said
        known = [uid for uid in self.uids if uid is not None]
        assert known == sorted(set(known))
        self.seen.update(known)

    def step(self) -> None:
        """Do something."""
        number = self._random.randint(1, max(1, len(self.uids)))
        one = b"%d" % number
        match self._random.randrange(8):
            case 0 | 1 | 2:
                self.ask(b"APPEND INBOX {%d+}\r\n%b" % (len(MESSAGE), MESSAGE))
            case 3 if self.uids:
                self.ask(b"STORE " + one + b" +FLAGS (\\Deleted)", expunge=False)
            case 4:
                assert b" OK" in self.ask(b"EXPUNGE")
            case 5 if self.uids:
                self.ask(b"MOVE " + one + b" Trash")
            case 6 if self.uids:
                self.ask(b"SEARCH " + one + b":* UNDELETED", expunge=False)
            case _:
                assert b" OK" in self.ask(b"NOOP")

    def work(self, steps: int) -> None:
        """Do much."""
        for _ in range(steps):
            self.step()
            self.check()

    def close(self) -> None:
        """Leave."""
        self._lines.close()
        self._wire.close()


def test_clients_stay_in_step(server: TwistdServer, user: str) -> None:
    """At the end all of them, and one who comes new, see the same mailbox."""
    clients = [Believer(server, user, seed) for seed in range(4)]
    failures: list[BaseException] = []

    def work(client: Believer) -> None:
        try:
            client.work(60)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(client,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if failures:
        raise failures[0]
    clients.append(Believer(server, user, 0))
    for client in clients:
        client.ask(b"NOOP")
        client.check()
    assert all(client.uids == clients[-1].uids for client in clients)
    assert None not in clients[-1].uids
    for client in clients:
        client.close()
