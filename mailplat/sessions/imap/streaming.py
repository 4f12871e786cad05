"""Large sections of one message, sent a block of bytes at a time.

A literal says its size in front, so what is sent decoded is decoded twice: once to count, once to
send.  At no time more than one block of it is in memory, however slowly the client reads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from mailplat.interfaces.store import BodyRange
from mailplat.message.encoding import Encoding, decoder
from mailplat.model.errors import Expunged
from mailplat.proto.imap.fetch_writer import literal_start
from mailplat.sessions.imap.sections import Piece
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.state import SessionState

__all__ = ["Streaming"]


class Streaming:
    """Sends pieces of one message.

    Args:
        state: The session.
        selected: Its open mailbox.
        uid: The message.
    """

    def __init__(self, state: SessionState, selected: Selected, uid: int) -> None:
        self._state = state
        self._selected = selected
        self._uid = uid
        self._step = state.services.options.block_bytes // 4

    async def probe(self, pieces: Sequence[Piece]) -> None:
        """Find out whether pieces can be read to their ends, as long as a refusal can be told.

        Raises:
            MailError: They cannot; the command is answered NO.
        """
        ends = [BodyRange(self._uid, piece.stop - 1, piece.stop) for piece in pieces if piece.size]
        await self._selected.mailbox.bodies(ends)

    async def read(self, piece: Piece) -> bytes | None:
        """Read a piece as a whole; None if the message is gone."""
        wanted = BodyRange(self._uid, piece.start, piece.stop)
        (data,) = await self._selected.mailbox.bodies([wanted])
        return data

    async def send(self, piece: Piece) -> None:
        """Send a piece as it is, as a literal."""
        await self._send_literal(literal_start(piece.size), self._blocks(piece))

    async def send_binary(self, piece: Piece) -> None:
        """Send a piece without its transfer encoding (RFC 3516 §4.3)."""
        size, nul = await self._measure(piece)
        await self._send_literal(literal_start(size, binary=nul), self._decoded(piece))

    async def size(self, piece: Piece) -> int:
        """Tell how many bytes `send_binary` would send."""
        return (await self._measure(piece))[0]

    async def _measure(self, piece: Piece) -> tuple[int, bool]:
        size, nul = 0, False
        async for block in self._decoded(piece):
            size += len(block)
            nul = nul or b"\0" in block
        return size, nul

    async def _send_literal(self, start: bytes, blocks: AsyncIterator[bytes]) -> None:
        conversation, link = self._state.conversation, self._state.link
        conversation.send(start)
        async for block in blocks:
            conversation.send(block)
            await link.drained()

    async def _blocks(self, piece: Piece) -> AsyncIterator[bytes]:
        for start in range(piece.start, piece.stop, self._step):
            stop = min(start + self._step, piece.stop)
            (data,) = await self._selected.mailbox.bodies([BodyRange(self._uid, start, stop)])
            if data is None or len(data) != stop - start:
                raise Expunged(f"UID {self._uid} ended at {start} while it was sent")
            yield data

    async def _decoded(self, piece: Piece) -> AsyncIterator[bytes]:
        """Undo the transfer encoding, then cut out what the client wants of it."""
        first, last = piece.first, piece.first + piece.count
        at = 0
        async for block in self._undone(piece):
            start, stop = max(first - at, 0), last - at
            at += len(block)
            if start < len(block) and stop > 0:
                yield block[start:stop]
            if at >= last:
                return

    async def _undone(self, piece: Piece) -> AsyncIterator[bytes]:
        undo = decoder(piece.encoding or Encoding.IDENTITY)
        async for block in self._blocks(piece):
            yield undo.receive(block)
        yield undo.close()
