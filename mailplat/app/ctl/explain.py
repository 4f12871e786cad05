"""``mailplatctl explain``: where mail for an address would go, step by step, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mailplat.app.ctl.selecting import config_option
from mailplat.config.load import load
from mailplat.config.sections.server import ListenerProtocol
from mailplat.interfaces.routes import (
    Destination,
    Expanded,
    Explained,
    Local,
    Refused,
    Remote,
    Step,
)
from mailplat.model.address import Address

__all__ = ["command", "read_address"]


@dataclass(frozen=True, slots=True)
class _Told:
    """What the routes say, and what a listener makes of it."""

    address: Address
    explained: Explained
    taken: str


@click.command(short_help="Tell where mail for an address would go, and why.")
@config_option
@click.option("--sender", default="", metavar="ADDRESS", help="Who sends it; empty is <>.")
@click.option("--listener", default="smtp", show_default=True, help="Where it comes in.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.argument("address", metavar="ADDRESS")
def command(file: Path, sender: str, listener: str, as_json: bool, address: str) -> None:
    """Tell step by step where mail for ADDRESS would go: which route knew it, by which line.

    Nothing is sent. Quotas and filters are not asked; `mailplatctl probe` asks the filters too.

    \b
    Examples:
      mailplatctl explain team@example.org
      mailplatctl explain x@example.net --sender alice@example.org --listener submission
    """  # noqa: D301 -- click wants the control character
    from twisted.internet import reactor

    from mailplat.app.assembly import assemble
    from mailplat.app.ctl import running
    from mailplat.app.parts import check_part

    parts = assemble(load(file, check_part=check_part), reactor)
    chosen = next((one for one in parts.listeners if one.name == listener), None)
    if chosen is None:
        names = ", ".join(one.name for one in parts.listeners)
        raise click.UsageError(f"there is no listener {listener!r}, but {names}")
    domain = parts.configuration.server.domains[0]
    asked = read_address(address, domain)
    path = read_address(sender, domain) if sender else None

    async def work(_: Any) -> _Told:
        await parts.accounts.open()
        try:
            await parts.routes.open()
            try:
                explained = await parts.routes.explain(asked, path)
                ours = parts.routes.is_local_domain(asked.domain)
                return _Told(asked, explained, _taken(chosen.protocol, explained, ours=ours))
            finally:
                await parts.routes.close()
        finally:
            await parts.accounts.close()

    told = running.run(work)
    click.echo(_as_json(told) if as_json else "\n".join(_lines(told)))


def read_address(text: str, domain: str) -> Address:
    """Read an address from the command line; a bare name is in our first domain."""
    local, at, named = text.strip().removeprefix("<").removesuffix(">").rpartition("@")
    return Address(local, named) if at else Address(named, domain)


def _taken(protocol: ListenerProtocol, explained: Explained, *, ours: bool) -> str:
    """Say whether the listener would take mail for it."""
    ends = explained.destinations
    refused = next((one for one in ends if isinstance(one, Refused)), None)
    if refused is not None and all(isinstance(one, Refused) for one in ends):
        return f"refused: {refused.reply.code} {refused.reply.status} {refused.reply.text}"
    if protocol is ListenerProtocol.LMTP and any(isinstance(one, Remote) for one in ends):
        return "refused: over LMTP mail is taken for mailboxes here alone"
    if protocol in (ListenerProtocol.SUBMISSION, ListenerProtocol.SUBMISSIONS):
        return "taken from those who logged in"
    return "taken" if ours else "taken from those who logged in; not a domain of ours"


def _lines(told: _Told) -> Iterator[str]:
    for step in told.explained.steps:
        indent = "  " * step.depth
        why = f" ({step.because})" if step.because else ""
        by = step.route or "no route"
        yield f"{indent}<{step.address}>"
        yield f"{indent}  {by}{why}: {_result(step)}"
        if step.note:
            yield f"{indent}  {step.note}"
    yield f"in the end: {told.taken}"
    for one in told.explained.destinations:
        yield f"  {_end(one)}"


def _result(step: Step) -> str:
    if not isinstance(step.result, Expanded):
        return _end(step.result)
    names = ", ".join(f"<{one}>" for one in step.result.addresses)
    owner = f"; reports go to <{step.result.owner}>" if step.result.owner else ""
    more = f" and {len(step.result.also)} more" if step.result.also else ""
    return f"stands for {names}{more}{owner}"


def _end(one: Destination) -> str:
    match one:
        case Local(account, mailbox):
            return f"mailbox {mailbox} of {account.name}"
        case Remote(address, agent):
            return f"<{address}> by {agent or 'its mail exchangers'}"
        case Refused(reply, address):
            who = f"<{address}> " if address is not None else ""
            return f"{who}refused: {reply.code} {reply.status} {reply.text}"


def _as_json(told: _Told) -> str:
    return json.dumps(
        {
            "address": str(told.address),
            "taken": told.taken,
            "steps": [
                {
                    "depth": step.depth,
                    "address": str(step.address),
                    "route": step.route,
                    "because": step.because,
                    "result": _result(step),
                    "note": step.note,
                }
                for step in told.explained.steps
            ],
            "destinations": [_fields(one) for one in told.explained.destinations],
        },
        ensure_ascii=False,
    )


def _fields(one: Destination) -> dict[str, Any]:
    onward = one.onward
    found: dict[str, Any] = {"address": str(one.address) if one.address is not None else None}
    if onward is not None:
        found["via"] = str(onward.via)
        found["sender"] = str(onward.sender) if onward.sender is not None else None
        found["mailing_list"] = onward.mailing_list
    match one:
        case Local(account, mailbox):
            return {"kind": "mailbox", "account": account.name, "mailbox": mailbox, **found}
        case Remote(_, agent):
            return {"kind": "agent", "agent": agent, **found}
        case Refused(reply):
            return {"kind": "refused", "code": reply.code, "status": reply.status, **found}
