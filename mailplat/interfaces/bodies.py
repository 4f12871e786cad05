"""What carries the bytes of a message on its way in.

A body is written once, in blocks, and then read any number of times.  Small ones stay in memory,
larger ones are in a file; nobody above needs to know which.
"""

from __future__ import annotations

from collections.abc import Awaitable

from zope.interface import Attribute, Interface

__all__ = ["IBody", "IFileBody", "IIntake", "IIntakes"]


class IBody(Interface):
    """The bytes of one message, complete and fixed.

    Conformance: `mailplat.testing.bodies.BodyContract`.
    """

    size: int = Attribute("How many bytes there are.")

    def read(start: int, stop: int) -> bytes:
        """Give the bytes from start to stop, fewer at the end.

        May block on a file: call it in a thread, unless ``in_memory`` is true.  Any number
        of threads may read at once.
        """

    in_memory: bool = Attribute("Whether `read` never blocks.")

    def close() -> None:
        """Let go of what holds the bytes; nobody reads after that.  Twice is no error."""


class IFileBody(IBody):
    """A body in a file of its own, which can be handed to another process."""

    def descriptor() -> int:
        """Open the file that holds the bytes, all of them and no others, for reading.

        Blocks on the file: call it in a thread.

        Returns:
            A file descriptor that the caller closes.

        Raises:
            Unavailable: The file cannot be had.
        """


class IIntake(Interface):
    """Takes the blocks of one message as they come from the peer.

    Conformance: `mailplat.testing.bodies.IntakeContract`.
    """

    size: int = Attribute("How many bytes were written so far.")

    def write(block: bytes) -> Awaitable[None] | None:
        """Take the next bytes.

        Returns:
            None where the block was taken at once; else an awaitable to wait for before
            the next call (back-pressure of a file).

        Raises:
            StorageFull: There is no room; the intake can only be closed now.
        """

    def finish() -> IBody:
        """All is written: give the body.  The intake is used up."""

    def close() -> None:
        """Throw away what was written; after `finish`, does nothing."""


class IIntakes(Interface):
    """Opens intakes; bounds what all of them keep in memory together."""

    def open_intake() -> IIntake:
        """Begin a new message."""
