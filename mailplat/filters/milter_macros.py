"""What the macros of the milter protocol are worth: facts of a connection by sendmail's names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID

from mailplat.interfaces.filters import Context, Mail
from mailplat.message import headers
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.reply import Reply

__all__ = ["of_connection", "of_message", "of_recipient", "of_sender"]


def of_connection(context: Context, hostname: str, client: str) -> Mapping[str, str]:
    """Give what is known of a connection.

    Args:
        context: The connection.
        hostname: Our own name.
        client: The client's confirmed name; ``""`` for none.
    """
    peer = context.peer
    found = {
        "j": hostname,
        "v": "mailplat",
        "_": f"{client or 'unknown'} [{peer.address}]",
        "{daemon_name}": context.listener,
        "{daemon_addr}": peer.local_address,
        "{daemon_port}": str(peer.local_port),
        "{if_name}": hostname,
        "{if_addr}": peer.local_address,
        "{client_addr}": peer.address,
        "{client_name}": client or "unknown",
        "{client_ptr}": client or "unknown",
        "{client_port}": str(peer.port),
    }
    if peer.tls is not None:
        found |= {"{tls_version}": peer.tls.version, "{cipher}": peer.tls.cipher, "{verify}": "NO"}
        if peer.tls.client_certificate is not None:
            subject, issuer = _names(peer.tls.client_certificate)
            found |= {"{verify}": "OK", "{cert_subject}": subject, "{cert_issuer}": issuer}
    return found


@lru_cache(maxsize=100)
def _names(certificate: bytes) -> tuple[str, str]:
    """Give the common names of a certificate's subject and issuer."""
    found = x509.load_der_x509_certificate(certificate)
    subject, issuer = (
        ", ".join(str(one.value) for one in name.get_attributes_for_oid(NameOID.COMMON_NAME))
        for name in (found.subject, found.issuer)
    )
    return subject, issuer


def of_sender(context: Context, sender: Sender) -> Mapping[str, str]:
    """Give what is known of a reverse path, and of who logged in."""
    address = sender.address
    found = {
        "{mail_mailer}": "smtp",
        "{mail_host}": address.domain if address is not None else "",
        "{mail_addr}": str(address) if address is not None else "",
    }
    if context.account is not None:
        found["{auth_authen}"] = context.account.name
        # who logged in somewhere else, and is spoken for, has no mechanism
        found["{auth_type}"] = context.mechanism or "EXTERNAL"
        if sender.auth:
            found["{auth_author}"] = sender.auth
    return found


def of_recipient(recipient: Recipient, refusal: Reply | None = None) -> Mapping[str, str]:
    """Give what is known of a forward path; one that was refused leads to an error."""
    address = recipient.address
    if refusal is not None:
        return {
            "{rcpt_mailer}": "error",
            "{rcpt_host}": refusal.status,
            "{rcpt_addr}": refusal.text,
        }
    return {
        "{rcpt_mailer}": "smtp",
        "{rcpt_host}": address.domain,
        "{rcpt_addr}": str(address),
    }


def of_message(mail: Mail) -> Mapping[str, str]:
    """Give what is known of a message."""
    found = {"i": mail.queue_id}
    message_id = headers.first(mail.header, b"message-id")
    if message_id is not None:
        found["{msg_id}"] = message_id.decode("utf-8", "replace")
    return found
