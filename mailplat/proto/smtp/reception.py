"""One message on its way in: DATA's bytes or the chunks of BDAT, checked while they come.

A message whose lines end otherwise than by CRLF is refused, or mended before it is looked at any
further, as the limits say.  A message that is refused, by its faults or by the session, is
drained to its true end; so is a chunk that comes where none is wanted, which is a reception that
was refused before it began.
"""

from __future__ import annotations

from mailplat.model.reply import Reply
from mailplat.proto.smtp.bdat import ChunkReader
from mailplat.proto.smtp.commands import Block, Spoiled
from mailplat.proto.smtp.content import ContentCheck
from mailplat.proto.smtp.data import DataReader
from mailplat.proto.smtp.data_writer import LineEnds
from mailplat.proto.smtp.input import Input
from mailplat.proto.smtp.offers import Limits

__all__ = ["Reception"]


class Reception:
    """Reads a message out of the input.

    Args:
        reader: For the bytes of DATA or of the first chunk.
        limits: What a message may be.
        binary: BODY=BINARYMIME was declared: any bytes may come (RFC 3030 §3).

    Attributes:
        reader: For further chunks, another one is put here.
        refusal: Why the message is refused; set it to refuse what is left of it.
    """

    def __init__(
        self, reader: DataReader | ChunkReader, limits: Limits, *, binary: bool = False
    ) -> None:
        self.reader = reader
        self.refusal: Reply | None = None
        self._check = ContentCheck(
            size_limit=limits.message_size,
            line_limit=limits.message_size if binary else limits.text_line,
            bare_newlines=binary or limits.bare_newlines,
        )
        self._ends = LineEnds() if limits.mend_newlines and not binary else None

    def ready(self, data: Input) -> bool:
        """Whether `read` would come to anything."""
        return len(data) > 0 or self.reader.done

    def read(self, data: Input) -> Block | Spoiled | None:
        """Read on; give what the session has to know of it, if anything."""
        reader = self.reader
        block = reader.receive(data.take_all())
        data.receive(reader.rest)
        if self.refusal is not None:
            return None
        last = reader.done and reader.last
        if self._ends is not None:
            block = self._ends.write(block) + (self._ends.end() if last else b"")
        self.refusal = self._check.receive(block) or (self._check.end() if last else None)
        if self.refusal is not None:
            return Spoiled(self.refusal)
        return Block(block, last) if block or last else None
