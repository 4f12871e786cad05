"""How filters read a message: small ones at once, others in a thread, all of them in blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.threads import deferToThreadPool

from mailplat.interfaces.bodies import IBody

__all__ = ["each_block", "in_thread"]

T = TypeVar("T")

_BLOCK = 256 * 1024
_AT_ONCE = 64 * 1024


def each_block(body: IBody, start: int, take: Callable[[bytes], None]) -> None:
    """Give a body's bytes from start on, in blocks.  May block on a file."""
    while start < body.size:
        block = body.read(start, min(start + _BLOCK, body.size))
        take(block)
        start += len(block)


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
