"""Where the bytes of large messages may be, beside the database: blobs under keys.

The store that uses them gives each blob a key of its own, which is never given twice: so a blob
never changes, and removing one can never hit another that came meanwhile.  What a blob store must
promise is little: what was put is durable, and it is found again.

Conformance: `mailplat.testing.blobs.BlobContract`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from zope.interface import Attribute, Interface

from mailplat.interfaces.bodies import IBody

__all__ = ["BlobInfo", "IBlobStore"]


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What is known of a blob without reading it.

    Attributes:
        key: Its key.
        size: Its bytes.
        modified: When it was put, in seconds since 1970 UTC, by the clock of who keeps it.
    """

    key: str
    size: int
    modified: float


class IBlobStore(Interface):
    """Keeps blobs.

    Keys are words of ``0-9 a-z -`` with ``/`` between them, at most 200 characters.  All methods
    are called in the reactor's thread, any number at once; they raise `Unavailable` where the
    store cannot be asked, with a reason that names it.
    """

    name: str = Attribute("For messages to the operator.")

    def open() -> Awaitable[None]:
        """Make ready; what is wrong with the configuration shows here.

        Raises:
            Unavailable: It cannot be had now.
        """

    def close() -> Awaitable[None]:
        """Let go of everything; calls that are under way end, well or not."""

    def put(key: str, body: IBody, digest: bytes) -> Awaitable[None]:
        """Keep a body's bytes under a key that was not used before.

        When this fires they survive a power cut.  Where it fails, `read` may or may not find
        the blob, and never finds a part of it.

        Args:
            key: The key.
            body: Read in blocks, never as a whole.
            digest: The SHA-256 of all its bytes.

        Raises:
            StorageFull: There is no room.
            Unavailable: It could not be kept, or the body ended before its size.
        """

    def read(key: str, start: int, stop: int) -> Awaitable[bytes | None]:
        """Give the bytes from start to before stop, fewer at the end; None if there is no blob."""

    def find(key: str) -> Awaitable[BlobInfo | None]:
        """Tell of a blob without reading it; None if there is none."""

    def delete(keys: Sequence[str]) -> Awaitable[None]:
        """Remove blobs; those that are not there are no error."""

    def page(prefix: str, after: str) -> Awaitable[Sequence[BlobInfo]]:
        """List blobs whose keys begin with a word and a ``/``, some thousand at most.

        Args:
            prefix: That word.
            after: Only keys behind this one; ``""`` for the first.

        Returns:
            The next ones, ascending by key; none where there are no more.  One that is put or
            deleted meanwhile may or may not be there.
        """
