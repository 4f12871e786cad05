"""The operation behind `IStore.deliver`: one message for many, its content kept once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mailplat.interfaces.store import Folder, NewMessage, Target
from mailplat.model.mailbox import Appended
from mailplat.store.index.folders import make_mailbox, open_home, publish_home
from mailplat.store.index.messages import Rules, add_message, check_quota, mask_of
from mailplat.store.index.rows import HomeRow, MailboxRow
from mailplat.store.index.summaries import insert_content
from mailplat.store.index.transaction import Transaction

__all__ = ["deliver"]


def deliver(
    tx: Transaction,
    rules: Rules,
    folders: Sequence[Folder],
    message: NewMessage,
    prepared: Any,
    targets: Sequence[Target],
) -> list[Appended]:
    """Store one message in every target, all or none; make homes and mailboxes that are missing.

    Args:
        tx: The transaction.
        rules: Where bytes are, and limits.
        folders: What a new home begins with.
        message: The message.
        prepared: What `Bodies.prepare` made of it.
        targets: Where to; the mailboxes' names are normal.
    """
    size = message.body.size
    homes: dict[int, HomeRow] = {}
    counts: dict[int, int] = {}
    places: list[tuple[HomeRow, MailboxRow]] = []
    for target in targets:
        home = open_home(tx, rules, target.account, folders, tell=False)
        mailbox = tx.find_mailbox(home, target.mailbox)
        if mailbox is None:
            mailbox = make_mailbox(tx, rules, home, target.mailbox, subscribed=True)
            publish_home(tx, home, [target.mailbox])
        homes[home.id] = home
        counts[home.id] = counts.get(home.id, 0) + 1
        places.append((home, mailbox))
    check_quota(rules, [(homes[id], size * count, count) for id, count in counts.items()])
    if not targets:
        return []
    content = insert_content(tx, message.summary)
    rules.bodies.store(tx, content, prepared)
    answers = []
    for target, (home, mailbox) in zip(targets, places, strict=True):
        mask = 0
        if message.flags or target.flags:
            flags = message.flags | target.flags
            # a mail is worth more than a keyword that finds no room
            mask = mask_of(tx, mailbox, flags, rules.keyword_limit, spare=True)
        place = rules.bodies.place(tx, mailbox, mailbox.uid_next, mask, prepared)
        row = add_message(tx, home, mailbox, content, size, mask, message.date, place)
        answers.append(Appended(mailbox.uid_validity, (row.uid,), mailbox.modseq))
    return answers
