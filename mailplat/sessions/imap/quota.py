"""QUOTA (RFC 9208): one quota root an account, named ``""``, over storage and messages."""

from __future__ import annotations

from mailplat.model.errors import MailError, NoSuchMailbox
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands.mailboxes import GetQuota, GetQuotaRoot, SetQuota
from mailplat.sessions.imap.state import SessionState

__all__ = ["get_quota", "get_quota_root", "set_quota"]

ROOT = ""
"""The name of the one quota root."""


class _NoSuchRoot(MailError):
    imap_code = "NONEXISTENT"
    public = "No such quota root"


async def get_quota(state: SessionState, command: GetQuota) -> None:
    """GETQUOTA (RFC 9208 §4.1.1)."""
    if command.root != ROOT:
        raise _NoSuchRoot
    await _send(state)
    state.conversation.ok()


async def get_quota_root(state: SessionState, command: GetQuotaRoot) -> None:
    """GETQUOTAROOT (RFC 9208 §4.1.2)."""
    if not await state.home.status([command.mailbox]):
        raise NoSuchMailbox
    state.conversation.send(
        responses.quota_roots(command.mailbox, [ROOT], utf8=state.conversation.utf8)
    )
    await _send(state)
    state.conversation.ok()


async def set_quota(state: SessionState, command: SetQuota) -> None:
    """SETQUOTA (RFC 9208 §4.1.3): nobody may raise their own."""
    state.conversation.no("Quotas are set by the administrator", "NOPERM")


async def _send(state: SessionState) -> None:
    limit, usage = await state.home.limit(), await state.home.usage()
    resources: list[tuple[str, int, int]] = []
    if limit.storage is not None:
        # RFC 9208 §5.1: in units of 1024 octets
        resources.append(("STORAGE", -(-usage.storage // 1024), limit.storage // 1024))
    if limit.messages is not None:
        resources.append(("MESSAGE", usage.messages, limit.messages))
    state.conversation.send(responses.quota(ROOT, resources, utf8=state.conversation.utf8))
