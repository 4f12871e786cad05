"""What configuration says of a Maildir store: ``[store.options]``."""

from __future__ import annotations

import attrs

from mailplat.config.option import option
from mailplat.config.values import Duration, Size, duration, size
from mailplat.store.maildir.bodies import MaildirLimits
from mailplat.store.maildir.comparing import OutsideLimits

__all__ = ["MaildirOptions", "limits_of"]


@attrs.frozen(kw_only=True)
class MaildirOptions:
    """How mail comes into Maildirs, and how other programs' changes are noticed."""

    threads: int = option(
        8,
        unit="threads",
        least=1,
        most=256,
        meaning="How many write new messages and read those that other programs brought.",
    )
    settle: Duration = option(
        duration("1s"),
        most=60,
        meaning="How long files that were moved wait for others, to be flushed together. A mail "
        "is never acknowledged before it is durable.",
    )
    carried_size: Size = option(
        size("64KiB"),
        most=1 << 20,
        meaning="Mails up to this size are durable in the index first, and their files are "
        "flushed later, many at once, where the file system can; 0 flushes each file by itself.",
    )
    carried_together: Size = option(
        size("4MiB"),
        most=1 << 26,
        meaning="So are all mails that one delivery or APPEND brings, up to so many bytes.",
    )
    carried_backlog: int = option(
        16_384,
        unit="messages",
        least=0,
        meaning="How many mails may wait for that at once, about; more are flushed one by one.",
    )
    spares: int = option(
        256,
        unit="files",
        least=0,
        most=65_536,
        meaning="How many empty files are kept ready for new mails; making one is slow.",
    )
    look: Duration = option(
        duration("1s"),
        meaning="How old what was seen of a mailbox may be when a client asks, where the kernel "
        "does not tell of changes; also of the list of mailboxes.",
    )
    poll: Duration = option(
        duration("30s"),
        meaning="How often mailboxes in use are looked at although the kernel would tell, for it "
        "does not tell what another machine does on a shared file system; 0 never does.",
        precedent="Dovecot mailbox_idle_check_interval (30 s)",
    )
    notice: Duration = option(
        duration("100ms"),
        meaning="How long a mailbox is left alone that was just listed.",
    )
    relist: Duration = option(
        duration("1m"),
        least=1,
        meaning="How long a mailbox that was changed here, while the kernel told nothing, is "
        "believed without a listing.",
    )
    watches: int = option(
        4096,
        unit="mailboxes",
        least=0,
        meaning="Of how many the kernel tells at once; 0 does without. Each takes two watches.",
        precedent="Linux fs.inotify.max_user_watches",
    )
    chunk: int = option(
        256,
        unit="files",
        least=1,
        most=65_536,
        meaning="How many new files are read before what they say is committed.",
    )
    rows: int = option(
        4096,
        unit="files",
        least=1,
        most=65_536,
        meaning="How many new files get their UIDs in one commit.",
    )
    complete: Duration = option(
        duration("200ms"),
        most=3600,
        meaning="How long the reading of new files waits for clients, which come first.",
    )


def limits_of(options: MaildirOptions) -> MaildirLimits:
    """Say the same to the store."""
    return MaildirLimits(
        threads=options.threads,
        settle_seconds=options.settle,
        carried_bytes=options.carried_size,
        carried_together=options.carried_together,
        carried_backlog=options.carried_backlog,
        spares=options.spares,
        outside=OutsideLimits(
            look_seconds=options.look,
            poll_seconds=options.poll,
            notice_seconds=options.notice,
            relist_seconds=round(options.relist),
            watches=options.watches,
            chunk=options.chunk,
            rows=options.rows,
            complete_seconds=options.complete,
        ),
    )
