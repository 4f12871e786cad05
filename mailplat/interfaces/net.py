"""What a session sees of the connection it speaks on, and of the guards at the door.

`net` provides them; sessions and tests of sessions use nothing else of the network.
"""

from __future__ import annotations

from collections.abc import Awaitable

from zope.interface import Attribute, Interface

from mailplat.model.peer import Peer

__all__ = ["IAccountConnections", "ILink", "ILoginAttempt", "ILoginIntervals", "ILoginThrottle"]


class ILink(Interface):
    """One connection, as its session sees it.

    A session answers by methods of its conversation.  What the conversation has ready goes out by
    itself when the session's coroutine ends or waits; only who speaks unasked, or streams more
    than a few KiB, needs the methods below.
    """

    session_id: str = Attribute("Short, unique and easy to find in a log.")
    peer: Peer = Attribute("Both ends, and what protects them; a new value after STARTTLS.")

    def flush() -> None:
        """Send what the conversation has ready, and go on with what waits in it.

        For news that nobody asked for just now, and for answers given outside of a coroutine.
        """

    def drained() -> Awaitable[None]:
        """Send what the conversation has ready, and wait until there is room for more.

        Await it after each block of a long answer: so a peer that reads slowly holds one
        block in memory.  Costs nothing while there is room.  Raises when the connection is
        gone: let that pass.
        """

    def write(data: bytes) -> Awaitable[None]:
        """Send bytes behind what the conversation has ready, and wait as `drained` does."""

    def start_tls() -> None:
        """Begin TLS as soon as the running coroutine has ended and its answer is sent.

        The conversation forgets everything before it; `peer` has a new value afterwards.
        """

    def authenticated() -> None:
        """The peer has proved who it is: the time to log in is no longer limited."""

    def speak_for(peer: Peer) -> bool:
        """Know the peer as another one from now on: a trusted proxy said whom it speaks for.

        False, if that one has too many connections: then nothing changed.
        """

    def close() -> None:
        """End the connection once what is ready is sent."""

    def abort() -> None:
        """End the connection now; nothing more is sent."""


class IAccountConnections(Interface):
    """Counts the sessions of each account; one for all protocols."""

    def enter(account: str) -> None:
        """Count a session in.

        Raises:
            LimitReached: The account has too many; this one was not counted.
        """

    def leave(account: str) -> None:
        """Count a session out that was counted in."""


class ILoginIntervals(Interface):
    """Keeps an account's log-ins apart, where the protocol lets a server ask for that."""

    def check(account: str) -> None:
        """Find out whether an account may log in again.

        Raises:
            TooSoon: The last log-in was too short ago.
        """

    def note(account: str) -> None:
        """An account has logged in."""


class ILoginAttempt(Interface):
    """One try to log in that the throttle let pass; it counts until it is released."""

    def failed(name: str, secret: str | None) -> None:
        """Count a failure, unless it is the same name and secret as one counted before.

        The secret is not kept, only a keyed digest of it: a device with an old password
        that tries again and again counts once.  None always counts.
        """

    def succeeded() -> None:
        """Forget the failures of the address."""

    def release() -> None:
        """The try is over.  Twice is no error."""


class ILoginThrottle(Interface):
    """Slows down who guesses passwords; one for all protocols.

    A session awaits `begin` *before* it looks at what was presented, right or wrong, so that
    neither the answer nor its time tells more to who is throttled::

        attempt = await throttle.begin(peer.address)
        try:
            account = await accounts.check_password(name, password)
        except AuthenticationFailed:
            attempt.failed(name, password)
            raise
        finally:
            attempt.release()
        attempt.succeeded()
    """

    def delay(address: str) -> float:
        """Tell how long this address has to wait before its next try, in seconds."""

    def begin(address: str) -> Awaitable[ILoginAttempt]:
        """Wait `delay` seconds.  Cancelled with the coroutine that awaits it.

        Raises:
            LimitReached: Too many tries of this address wait already.
        """
