"""A home as simply as can be said: the reference that stores are compared with.

Dictionaries and lists, no arrays, no log, nothing clever: what a call does stands here in a few
lines each.  UIDs and MODSEQs are the store's to choose; the model takes them from its answers and
holds them to the rules.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from mailplat.model.errors import (
    AlreadyExists,
    Cannot,
    MailError,
    NoSuchMailbox,
    OverQuota,
)
from mailplat.model.flags import FlagAction
from mailplat.model.mailbox import INBOX, QuotaLimit, QuotaUsage, normal_name

__all__ = ["ModelHome", "ModelMailbox", "ModelMessage"]


@dataclass
class ModelMessage:
    """A message: its bytes, its flags in lower case, its date."""

    data: bytes
    flags: frozenset[str]
    date: int


@dataclass
class ModelMailbox:
    """A mailbox: messages by UID, the highest UID ever given, and who is recent."""

    messages: dict[int, ModelMessage] = field(default_factory=dict)
    highest: int = 0
    recent: set[int] = field(default_factory=set)


def _lower(flags: Collection[str]) -> frozenset[str]:
    return frozenset(flag.lower() for flag in flags)


class ModelHome:
    """One account.

    Args:
        names: The mailboxes it begins with.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.mailboxes = {name: ModelMailbox() for name in names}
        self.subscribed: set[str] = set()
        self.limit = QuotaLimit()

    def get(self, name: str) -> ModelMailbox:
        """Find a mailbox."""
        found = self.mailboxes.get(normal_name(name))
        if found is None:
            raise NoSuchMailbox(name)
        return found

    @property
    def usage(self) -> QuotaUsage:
        """Count everything, each time anew."""
        every = [m for box in self.mailboxes.values() for m in box.messages.values()]
        return QuotaUsage(sum(len(m.data) for m in every), len(every))

    def _check_quota(self, messages: Sequence[ModelMessage]) -> None:
        usage, limit = self.usage, self.limit
        size = usage.storage + sum(len(m.data) for m in messages)
        count = usage.messages + len(messages)
        if messages and (
            (limit.storage is not None and size > limit.storage)
            or (limit.messages is not None and count > limit.messages)
        ):
            raise OverQuota

    # What may refuse comes first; then the store's UIDs are taken in.

    def check_append(self, name: str, messages: Sequence[ModelMessage]) -> MailError | None:
        """Tell how an append must fail, or None."""
        try:
            self.get(name)
            self._check_quota(messages)
        except MailError as error:
            return error
        return None

    def append(self, name: str, messages: Sequence[ModelMessage], uids: Sequence[int]) -> None:
        """Add messages under the UIDs that the store gave them."""
        box = self.get(name)
        assert len(uids) == len(messages)
        for uid, message in zip(uids, messages, strict=True):
            assert uid > box.highest, "a UID does not ascend"
            box.highest = uid
            box.messages[uid] = message
            box.recent.add(uid)

    def store_flags(
        self, name: str, uids: Collection[int], action: FlagAction, flags: Collection[str]
    ) -> set[int]:
        """Change flags; tell whose changed."""
        box, given = self.get(name), _lower(flags)
        there = [uid for uid in uids if uid in box.messages]
        changed = set()
        for uid in there:
            old = box.messages[uid].flags
            new = {
                FlagAction.ADD: old | given,
                FlagAction.REMOVE: old - given,
                FlagAction.REPLACE: given,
            }[action]
            if new != old:
                box.messages[uid].flags = new
                changed.add(uid)
        return changed

    def expunge(self, name: str, uids: Collection[int]) -> list[int]:
        """Remove messages; tell which were there."""
        box = self.get(name)
        gone = sorted(uid for uid in uids if uid in box.messages)
        for uid in gone:
            del box.messages[uid]
        box.recent -= set(gone)
        return gone

    def check_transfer(
        self, source: str, uids: Collection[int], target: str, move: bool
    ) -> MailError | None:
        """Tell how a copy or a move must fail, or None."""
        try:
            box = self.get(source)
            self.get(target)
            if not move:
                self._check_quota([box.messages[uid] for uid in uids if uid in box.messages])
        except MailError as error:
            return error
        return None

    def transfer(
        self,
        source: str,
        uids: Collection[int],
        target: str,
        move: bool,
        sources: Sequence[int],
        targets: Sequence[int],
    ) -> None:
        """Copy or move messages to the UIDs that the store gave them."""
        box, into = self.get(source), self.get(target)
        there = sorted(uid for uid in uids if uid in box.messages)
        assert list(sources) == there
        assert len(targets) == len(there)
        for uid, new in zip(there, targets, strict=True):
            message = box.messages[uid]
            assert new > into.highest, "a UID does not ascend"
            into.highest = new
            into.messages[new] = ModelMessage(message.data, message.flags, message.date)
            into.recent.add(new)
        if move:
            self.expunge(source, there)

    def create(self, name: str) -> None:
        """Make a mailbox."""
        name = normal_name(name)
        if name in self.mailboxes:
            raise AlreadyExists
        self.mailboxes[name] = ModelMailbox()

    def delete(self, name: str) -> None:
        """Remove a mailbox."""
        self.get(name)
        if normal_name(name) == INBOX:
            raise Cannot
        del self.mailboxes[normal_name(name)]

    def rename(self, old: str, new: str) -> None:
        """Rename a tree; INBOX only gives its messages away, and the store says their UIDs."""
        old, new = normal_name(old), normal_name(new)
        tree = [name for name in self.mailboxes if name == old or name.startswith(old + "/")]
        if not tree:
            raise NoSuchMailbox
        if new in self.mailboxes:
            raise AlreadyExists
        if old == INBOX:
            self.mailboxes[new] = ModelMailbox()
            return
        if new.startswith(old + "/"):
            raise Cannot
        names = {name: normal_name(new + name[len(old) :]) for name in tree}
        if set(names.values()) & self.mailboxes.keys():
            raise AlreadyExists
        for name, renamed in names.items():
            self.mailboxes[renamed] = self.mailboxes.pop(name)

    def listed(self) -> dict[str, tuple[bool, bool]]:
        """Tell what the list must hold: for each name whether it exists and is subscribed."""
        names = set(self.mailboxes) | self.subscribed
        for name in self.mailboxes:
            levels = name.split("/")
            names.update("/".join(levels[:depth]) for depth in range(1, len(levels)))
        return {name: (name in self.mailboxes, name in self.subscribed) for name in names}
