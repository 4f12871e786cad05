"""Messages' bytes and summaries, identical ones kept once.

Invariant: a `Content` lives as long as somebody holds it (a mailbox's column, or an expunged
message that is still shown somewhere), and no longer; nothing counts references by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from weakref import WeakValueDictionary

from twisted.internet.threads import deferToThreadPool

from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.store import NewMessage
from mailplat.model.summary import Summary

__all__ = ["Content", "Contents"]


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Content:
    """What copies of one message share.

    Attributes:
        data: The message's bytes.
        summary: What was worked out about them.
        email_id: EMAILID (RFC 8474 §5.1), made of the bytes.
    """

    data: bytes
    summary: Summary
    email_id: str

    @property
    def header(self) -> bytes:
        """The whole header, also where the summary leaves it out for its size."""
        return self.summary.header or self.data[: self.summary.header_size]


class Contents:
    """All contents of a store, found by what they are made of.

    Args:
        reactor: Its threads read bodies that are in files.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._by_digest: WeakValueDictionary[bytes, Content] = WeakValueDictionary()

    async def take(self, message: NewMessage) -> Content:
        """Read a message's body, in a thread where it is in a file."""
        if message.body.in_memory:
            data, digest = _read(message.body)
        else:
            pool = self._reactor.getThreadPool()
            data, digest = await deferToThreadPool(self._reactor, pool, _read, message.body)
        found = self._by_digest.get(digest)
        if found is None:
            found = Content(data, message.summary, "M" + digest.hex()[:40])
            self._by_digest[digest] = found
        return found

    def __len__(self) -> int:
        """How many different messages there are."""
        return len(self._by_digest)


def _read(body: IBody) -> tuple[bytes, bytes]:
    data = body.read(0, body.size)
    return data, sha256(data).digest()
