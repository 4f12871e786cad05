"""The messages of one APPEND or REPLACE on their way in.

Invariants:

- A block goes into the intake and through the scanner and is then forgotten.
- `Appending.close` lets go of everything, whatever came of it.
"""

from __future__ import annotations

from twisted.internet.threads import deferToThread

from mailplat.interfaces.bodies import IBody, IIntake
from mailplat.interfaces.store import NewMessage
from mailplat.message.binary import CannotEncode, encoded
from mailplat.message.scan import Scanner
from mailplat.message.summary import summarize
from mailplat.message.tree import Part, Scan
from mailplat.model.errors import MailError
from mailplat.model.numset import NumSet
from mailplat.proto.imap.commands.append import AppendMessage
from mailplat.sessions.imap.services import IMAPServices

__all__ = ["Appending"]


class _Binary(MailError):
    """A NUL stands where no transfer encoding can hide it (RFC 3516 §4.4)."""

    imap_code = "UNKNOWN-CTE"
    public = "NUL is allowed in binary parts only"


class Appending:
    """The messages of one APPEND or REPLACE on their way in.

    Args:
        services: For intakes and limits.
        mailbox: Where they go.
        replaces: UIDs of messages of the open mailbox that go once the new one is stored.

    Attributes:
        total: Bytes announced so far.
        count: Messages announced so far.
    """

    def __init__(self, services: IMAPServices, mailbox: str, replaces: NumSet = NumSet()) -> None:
        self.mailbox = mailbox
        self.replaces = replaces
        self.total = 0
        self.count = 0
        self._services = services
        self._done: list[tuple[AppendMessage, IBody, Scanner]] = []
        self._now: tuple[AppendMessage, IIntake, Scanner] | None = None

    def begin(self, message: AppendMessage) -> None:
        """Make ready for the next message's bytes."""
        self._finish()
        self.total += message.size
        self.count += 1
        services = self._services
        self._now = (message, services.intakes.open_intake(), Scanner(services.scan_limits))

    async def write(self, block: bytes) -> None:
        """Take the next bytes of the message."""
        if self._now is None:
            raise RuntimeError("bytes before a message")
        _, intake, scanner = self._now
        scanner.receive(block)
        waiting = intake.write(block)
        if waiting is not None:
            await waiting

    async def messages(self) -> list[NewMessage]:
        """Give all of them, ready for the store; they are closed by `close`.

        Raises:
            MailError: One cannot be stored (UNKNOWN-CTE).
        """
        self._finish()
        now = int(self._services.now())
        found: list[NewMessage] = []
        for place, (message, body, scanner) in enumerate(self._done):
            scan = scanner.close()
            if scan.nul and message.binary:
                plain, scan = await self._without_nul(body, scan.root)
                self._done[place] = (message, plain, scanner)
                body.close()
                body = plain
            date = now if message.date is None else int(message.date.timestamp())
            found.append(NewMessage(body, summarize(scan), message.flags, date))
        return found

    async def _without_nul(self, body: IBody, root: Part) -> tuple[IBody, Scan]:
        """Put binary parts into base64: BODY[] must give no NUL (RFC 3516 §6)."""
        try:
            pieces: list[bytes] = await deferToThread(_encoded, body, root)
        except CannotEncode:
            raise _Binary from None
        scanner = Scanner(self._services.scan_limits)
        intake = self._services.intakes.open_intake()
        try:
            for piece in pieces:
                scanner.receive(piece)
                waiting = intake.write(piece)
                if waiting is not None:
                    await waiting
            return intake.finish(), scanner.close()
        finally:
            intake.close()

    def close(self) -> None:
        """Throw the bytes away."""
        if self._now is not None:
            self._now[1].close()
            self._now = None
        for _, body, _ in self._done:
            body.close()
        self._done.clear()

    def _finish(self) -> None:
        if self._now is not None:
            message, intake, scanner = self._now
            self._done.append((message, intake.finish(), scanner))
            self._now = None


def _encoded(body: IBody, root: Part) -> list[bytes]:
    return list(encoded(body.read(0, body.size), root))
