"""Requests that are answered together: what comes while a block is under way makes the next one.

A thread costs the same for one request as for a hundred, and so does a transaction.

Invariants: each request is answered once, in its own right; one block at a time is under way; a
block that fails fails for each of its requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

__all__ = ["Gathering"]

Q = TypeVar("Q")
A = TypeVar("A")


class Gathering(Generic[Q, A]):
    """Answers requests, a block after the other.

    Args:
        answer: Answers a block: an answer for each of its requests, in their order.
        most: Requests of one block.
    """

    def __init__(
        self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], *, most: int = 100
    ) -> None:
        self._answer = answer
        self._most = most
        self._waiting: deque[tuple[Q, Deferred[A]]] = deque()
        self._answering = False

    def ask(self, request: Q) -> Deferred[A]:
        """Ask; the answer comes with those of others."""
        asked: Deferred[A] = Deferred()
        self._waiting.append((request, asked))
        if not self._answering:
            self._answering = True
            Deferred.fromCoroutine(self._work())
        return asked

    async def _work(self) -> None:
        while self._waiting:
            count = min(len(self._waiting), self._most)
            block = [self._waiting.popleft() for _ in range(count)]
            try:
                answers = await self._answer([request for request, _ in block])
            except Exception:
                failure = Failure()
                for _, asked in block:
                    if not asked.called:
                        asked.errback(failure)
                continue
            for (_, asked), answer in zip(block, answers, strict=True):
                if not asked.called:  # it was cancelled
                    asked.callback(answer)
        self._answering = False
