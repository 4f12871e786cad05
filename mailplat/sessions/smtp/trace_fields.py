"""The fields on top of a message that comes in: whom it is from and for, and how it came here."""

from __future__ import annotations

from mailplat.interfaces.filters import Context
from mailplat.message import trace
from mailplat.model.peer import Peer
from mailplat.sessions.smtp.transaction import Transaction

__all__ = ["front", "received"]


def front(context: Context) -> bytes:
    """Say whom the mail is from and for whom, for mailboxes' copies (RFC 5321 §4.4)."""
    sender, recipients = context.sender, context.recipients
    known = sender is not None and sender.address is not None
    fields = trace.return_path(str(sender.address) if sender is not None and known else "")
    if len(recipients) == 1:  # of several, none is told of the others
        fields += trace.delivered_to_field(str(recipients[0].address))
    return fields


def received(
    context: Context,
    peer: Peer,
    transaction: Transaction,
    *,
    host: str,
    extended: bool,
    seconds: int,
) -> bytes:
    """Say how the message came here (RFC 5321 §4.4).

    Args:
        context: Who sends it.
        peer: The client.
        transaction: The mail.
        host: Our own name.
        extended: Whether the client said EHLO.
        seconds: The time, seconds since 1970 UTC.
    """
    accepted, sender = transaction.accepted, context.sender
    return trace.received(
        helo=context.helo,
        ip=peer.address,
        host=host,
        protocol=trace.protocol(
            extended=extended,
            lmtp=context.protocol == "lmtp",
            tls=peer.tls is not None,
            authenticated=context.account is not None,
            utf8=sender is not None and sender.smtputf8,
        ),
        queue_id=transaction.queue_id,
        seconds=seconds,
        recipient=str(accepted[0].address) if len(accepted) == 1 else "",
        tls=f"{peer.tls.version} with cipher {peer.tls.cipher}" if peer.tls is not None else "",
        priority=sender.priority if sender is not None else 0,
    )
