"""Messages hung together in threads (RFC 5256 §3; REFS of draft-ietf-morg-inthread).

Messages are numbers from 0, in the order of their mailbox; what is known of them comes in
columns.  Of each thread comes out a tree of these numbers.

`References` goes by the steps of RFC 5256 §3 and stops before the fifth, which needs to know of a
few messages whether they are replies: ask `References.doubtful`, then go on with `threads`.

Invariants:

- A message is in exactly one place of one thread.
- Time and memory are linear in the messages and in their references, of which only the nearest
  count: no heap of hostile ones makes a walk longer than `MAX_DEPTH`.
- Nothing recurses, however deep a thread is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["MAX_DEPTH", "MAX_LINKS", "References", "Thread", "by_subject"]

MAX_DEPTH = 1000
"""Ancestors that are followed; an answer deeper in its thread begins one of its own."""

MAX_LINKS = 100
"""References of one message that are looked at, the nearest ones; its ancestors have their own."""


@dataclass(slots=True)
class Thread:
    """A message with the answers to it.

    Attributes:
        number: The message; None for a parent that is not there, at the top of a thread only.
        children: The answers, in order.
    """

    number: int | None
    children: list[Thread] = field(default_factory=list)


def by_subject(subjects: Sequence[str], dates: Sequence[int]) -> list[Thread]:
    """Hang messages together by their subjects alone (RFC 5256 §3 ORDEREDSUBJECT).

    Args:
        subjects: The base subject of each message.
        dates: Its sent date, in seconds.
    """
    groups: dict[str, Thread] = {}
    for number in sorted(range(len(subjects)), key=dates.__getitem__):
        first = groups.get(subjects[number])
        if first is None:
            groups[subjects[number]] = Thread(number)
        else:
            first.children.append(Thread(number))
    return list(groups.values())


class References:
    """Threads by References, In-Reply-To and, at the end, subjects.

    Args:
        message_ids: The Message-ID of each message, ``""`` if it has none.
        references: Its ancestors, oldest first (`mailplat.message.threads.references`).
        dates: Its sent date, in seconds.
    """

    def __init__(
        self,
        message_ids: Sequence[str],
        references: Sequence[Sequence[str]],
        dates: Sequence[int],
    ) -> None:
        self._dates = dates
        self._count = len(message_ids)
        self._parents: list[int] = [-1] * self._count
        self._refused: set[tuple[int, int]] = set()
        self._link(message_ids, references)
        self._tops = self._pruned()

    def doubtful(self, subjects: Sequence[str]) -> list[int]:
        """Name the messages of which `threads` needs to know whether they are replies.

        Args:
            subjects: The base subject of each message.
        """
        numbers: dict[str, list[Thread]] = {}
        for top in self._tops:
            subject = subjects[_first(top)]
            if subject:
                numbers.setdefault(subject, []).append(top)
        return sorted(
            top.number
            for tops in numbers.values()
            if len(tops) > 1
            for top in tops
            if top.number is not None
        )

    def threads(self, subjects: Sequence[str], replies: Collection[int]) -> list[Thread]:
        """Gather threads of one subject, and put all in order (steps 5 and 6: REFERENCES).

        Args:
            subjects: The base subject of each message.
            replies: Those of `doubtful` that are replies or forwards.
        """
        table: dict[str, Thread] = {}
        for top in self._tops:
            subject = subjects[_first(top)]
            if not subject:
                continue
            known = table.setdefault(subject, top)
            if known.number is not None and (
                top.number is None or (known.number in replies and top.number not in replies)
            ):
                table[subject] = top
        tops: list[Thread] = []
        for top in self._tops:
            known = table.get(subjects[_first(top)], top)
            if known is top:
                tops.append(top)
            elif known.number is None:
                known.children += [top] if top.number is not None else top.children
            elif top.number in replies and known.number not in replies:
                known.children.append(top)
            else:
                # two of equal rank: both become children of a message that is not there; the
                # table's thread stays where it is and takes that role
                known.children = [Thread(known.number, known.children), top]
                known.number = None
        return self._in_order(tops)

    def threads_by_arrival(self, arrivals: Sequence[int]) -> list[Thread]:
        """Put threads in the order of their newest messages, subjects disregarded (REFS).

        Args:
            arrivals: INTERNALDATE of each message.
        """
        tops = self._in_order(self._tops)

        def newest(top: Thread) -> int:
            return max(
                arrivals[thread.number] for thread in _walk(top) if thread.number is not None
            )

        return sorted(tops, key=newest)

    # steps 1 and 2

    def _link(self, message_ids: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        nodes: dict[str, int] = {}
        for number, message_id in enumerate(message_ids):
            if message_id:
                nodes.setdefault(message_id, number)  # of doubles, the first has the id
        parents = self._parents
        for number, ancestors in enumerate(references):
            last = -1
            for ancestor in ancestors[-MAX_LINKS:]:
                node = nodes.get(ancestor)
                if node is None:  # not there: a dummy takes its place
                    node = nodes[ancestor] = len(parents)
                    parents.append(-1)
                if last >= 0 and parents[node] < 0:
                    self._adopt(last, node)
                last = node
            parents[number] = -1
            if last >= 0:
                self._adopt(last, number)

    def _adopt(self, parent: int, child: int) -> None:
        """Make one the parent of another, unless that would close a loop."""
        if (parent, child) in self._refused:
            return
        above = parent
        for _ in range(MAX_DEPTH):
            if above == child:
                break
            above = self._parents[above]
            if above < 0:
                self._parents[child] = parent
                return
        self._refused.add((parent, child))

    # steps 3 and 4

    def _pruned(self) -> list[Thread]:
        """Build the trees, without messages that are not there but for tops of several."""
        count, parents = self._count, self._parents
        below: dict[int, list[int]] = {}
        for node, parent in enumerate(parents):
            below.setdefault(parent, []).append(node)
        threads: dict[int, list[Thread]] = {}  # what a node comes to: itself, or its children
        for node in reversed(_from_the_top(below)):
            children = [thread for child in below.get(node, ()) for thread in threads.pop(child)]
            threads[node] = [Thread(node, children)] if node < count else children
        tops: list[Thread] = []
        for node in below.get(-1, ()):
            found = threads.pop(node)
            if node >= count and len(found) > 1:
                found = [Thread(None, sorted(found, key=self._when))]
            tops += found
        return sorted(tops, key=self._when)

    # step 6

    def _in_order(self, tops: Iterable[Thread]) -> list[Thread]:
        tops = list(tops)
        for top in tops:
            for thread in _walk(top):
                thread.children.sort(key=self._when)
        return sorted(tops, key=self._when)

    def _when(self, thread: Thread) -> tuple[int, int]:
        number = _first(thread)
        return self._dates[number], number


def _first(thread: Thread) -> int:
    """Give the message that stands for a thread: its top, or the first below that."""
    while thread.number is None:
        thread = thread.children[0]
    return thread.number


def _walk(thread: Thread) -> Iterable[Thread]:
    waiting = [thread]
    while waiting:
        thread = waiting.pop()
        yield thread
        waiting += thread.children


def _from_the_top(below: dict[int, list[int]]) -> list[int]:
    """List all nodes, each behind its parent."""
    listed = list(below.get(-1, ()))
    for node in listed:  # grows as it goes
        listed += below.get(node, ())
    return listed
