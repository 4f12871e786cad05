"""How filters read a message: small ones at once, others in a thread, all of them in blocks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from twisted.internet.threads import deferToThreadPool

from mailplat.interfaces.bodies import IBody
from mailplat.model.errors import Corrupt

__all__ = ["blocks", "each_block", "in_thread"]

T = TypeVar("T")

_BLOCK = 256 * 1024
_AT_ONCE = 64 * 1024


def each_block(body: IBody, start: int, take: Callable[[bytes], None]) -> None:
    """Give a body's bytes from start on, in blocks.  May block on a file."""
    while start < body.size:
        block = body.read(start, min(start + _BLOCK, body.size))
        take(block)
        start += len(block)


async def blocks(reactor: Any, body: IBody, start: int = 0) -> AsyncIterator[bytes]:
    """Give a body's bytes from start on, each block when the one before it was used up.

    Args:
        reactor: Has the threads that read files.
        body: What is read.
        start: Where to begin.

    Raises:
        Corrupt: The body is shorter than it says.
    """
    while start < body.size:
        stop = min(start + _AT_ONCE, body.size)
        if body.in_memory:
            block = body.read(start, stop)
        else:
            pool = reactor.getThreadPool()
            block = await deferToThreadPool(reactor, pool, body.read, start, stop)
        if len(block) != stop - start:
            raise Corrupt(f"a message of {body.size} bytes ends at {start + len(block)}")
        yield block
        start = stop


async def in_thread(reactor: Any, body: IBody | None, work: Callable[[], T]) -> T:
    """Do what reads a body or takes long.

    Args:
        reactor: Has the threads.
        body: What is read; if that is small and in memory, no thread is worth its while.
            None for work that always wants one.
        work: What to do.
    """
    if body is not None and body.in_memory and body.size <= _AT_ONCE:
        return work()
    done: T = await deferToThreadPool(reactor, reactor.getThreadPool(), work)
    return done
