"""What was read of single messages a moment ago: clients come back for the same one.

Who opens a message asks for its structure, then its header, then one part after the other; and a
message that just came is asked for by everybody who watches.  The first of them waits for a
reader's thread, the others need not.  What belongs to a content never changes, and its number is
never given to another.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from mailplat.interfaces.store import Column

__all__ = ["BODY", "MISSING", "Recent"]

BODY: Final = None
"""Stands for all bytes of a message where a column is named."""

MISSING: Final = object()
"""What is not here."""

_VALUE_BYTES = 150
"""What Python takes for a value besides its own bytes, and for finding it, about."""


class Recent:
    """Columns and bodies by content, those used last.

    Args:
        limit: Bytes they may take together, roughly.
        largest: Bytes of a body that is kept at most.

    Attributes:
        bytes: What they take, about.
    """

    def __init__(self, limit: int, largest: int) -> None:
        self.largest = largest
        self.bytes = 0
        self._limit = limit
        self._contents: OrderedDict[int, dict[Column | None, Any]] = OrderedDict()

    def clear(self) -> None:
        """Forget everything: it was changed on the disk."""
        self._contents.clear()
        self.bytes = 0

    def find(self, content: int, column: Column | None) -> Any:
        """Find a value of a content; `MISSING` if it is not here."""
        values = self._contents.get(content)
        if values is None:
            return MISSING
        self._contents.move_to_end(content)
        return values.get(column, MISSING)

    def keep(self, content: int, column: Column | None, value: Any) -> None:
        """Keep a value; forget the contents that nobody asked for longest."""
        values = self._contents.setdefault(content, {})
        if column not in values:
            values[column] = value
            self.bytes += _size(value)
        self._contents.move_to_end(content)
        while self.bytes > self._limit:
            _, gone = self._contents.popitem(last=False)
            self.bytes -= sum(map(_size, gone.values()))


def _size(value: Any) -> int:
    return _VALUE_BYTES + (len(value) if isinstance(value, bytes | str) else 0)
