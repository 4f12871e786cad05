"""``mailplatctl queue``: what waits to go out, and what to do about it.

Works on the spool itself, in one transaction for each thousand mails, while the server runs or
not; a running server is told over its control socket, and looks again at once.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import click

from mailplat.app.ctl.selecting import config_option, selected, selection_options
from mailplat.config.load import load
from mailplat.config.options import Configuration
from mailplat.config.values import Duration, Size, spell_duration, spell_size
from mailplat.interfaces.agents import RELAY_PREFIX
from mailplat.interfaces.spool import IOperatedSpool, LaneState, Selection, Spooled

__all__ = ["command"]

_PAGE = 500
_AT_ONCE = 1000
"""Mails that are changed in one transaction, and then said to be done."""


@click.group(short_help="Look at mail that waits to go out, and act on it.")
def command() -> None:
    """Look at mail that waits to go out, and act on it, while the server runs or not.

    Mails are chosen by their queue ids, by what is known of them, or all of them with --all. Texts
    may hold * and ?.

    \b
    Examples:
      mailplatctl queue list --domain example.net
      mailplatctl queue show 1kx3v9f0q2ja7b
      mailplatctl queue hold --sender '*@bulk.example'
      mailplatctl queue retry --reason 'no answer' --older-than 1h
      mailplatctl queue bounce --recipient '*@gone.example'
      mailplatctl queue reroute --recipient '*@moved.example'
      mailplatctl queue remove --all --sender '<>' --older-than 3d
      mailplatctl queue top
    """  # noqa: D301 -- click wants the control character


@command.command("list")
@config_option
@selection_options
@click.option("--limit", default=100, show_default=True, help="How many mails; 0 for all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def list_them(file: Path, limit: int, as_json: bool, **chosen: Any) -> None:
    """List mails in the order of their arrival; without a choice, all of them."""
    selection = selected(chosen, everything=True)

    async def work(spool: IOperatedSpool) -> tuple[int, bool]:
        count, behind = 0, ""
        while not limit or count < limit:
            room = _PAGE if not limit else min(_PAGE, limit - count)
            page = await spool.select(selection, room, behind)
            for mail in page:
                click.echo(_as_json(mail) if as_json else _brief(mail))
            count += len(page)
            if len(page) < room:
                return count, False
            behind = page[-1].queue_id
        return count, bool(await spool.select(selection, 1, behind))

    count, more = _read(load(file), work) or (0, False)
    if not as_json:
        rest = "; there are more, see --limit" if more else ""
        click.echo(f"{count} mails{rest}." if count else "No mail waits.", err=True)


@command.command("show")
@config_option
@click.argument("queue_id", metavar="QUEUE-ID")
def show(file: Path, queue_id: str) -> None:
    """Show everything that is known of the mail QUEUE-ID, and its header."""

    async def work(spool: Any) -> None:
        mail: Spooled | None = await spool.find(queue_id)
        if mail is None:
            raise click.ClickException(f"there is no mail {queue_id} in the queue")
        for line in _details(mail):
            click.echo(line)
        body = await spool.open_body(queue_id)
        try:
            header = body.read(0, 65536).partition(b"\r\n\r\n")[0]
        finally:
            body.close()
        click.echo("\n" + header.replace(b"\r\n", b"\n").decode("utf-8", "replace"))

    if _read(load(file), work, nothing=True):
        raise click.ClickException(f"there is no mail {queue_id} in the queue")


@command.command("hold")
@config_option
@selection_options
def hold(file: Path, **chosen: Any) -> None:
    """Keep mails back until they are released."""
    selection = selected(chosen)
    _change(file, selection, lambda spool, page: spool.hold(page, True), "held")


@command.command("release")
@config_option
@selection_options
def release(file: Path, **chosen: Any) -> None:
    """Let mails go on that were held, at once."""
    selection = selected(chosen)
    _change(file, selection, lambda spool, page: spool.hold(page, False), "released")


@command.command("retry")
@config_option
@selection_options
def retry(file: Path, **chosen: Any) -> None:
    """Try mails at once, and destinations that did not answer too."""
    selection = selected(chosen)
    _change(file, selection, lambda spool, page: spool.retry(page), "to be tried now")


@command.command("remove")
@config_option
@selection_options
def remove(file: Path, **chosen: Any) -> None:
    """Throw mails away; nobody is told."""
    selection = selected(chosen)
    _change(file, selection, lambda spool, page: spool.remove(page), "removed")


@command.command("reroute")
@config_option
@selection_options
@click.option("--to", "agent", help="The agent's name; '' is the relay, relay:NAME a relay host.")
def reroute(file: Path, agent: str | None, **chosen: Any) -> None:
    """Ask the routes again where mails lead, or give them to another delivery agent, now."""
    configuration = load(file)
    if agent is None:
        _route_again(file, selected(chosen))
        return
    known = {"", "mailbox", *(one.name for one in configuration.agents)}
    known |= {f"{RELAY_PREFIX}{one.name}" for one in configuration.relay_hosts}
    if agent not in known:
        names = ", ".join(repr(name) for name in sorted(known))
        raise click.ClickException(f"there is no agent {agent!r}; there are: {names}")
    selection = selected(chosen)
    done = f"given to {agent!r}"
    _change(file, selection, lambda spool, page: spool.reroute(page, agent), done)


def _route_again(file: Path, selection: Selection) -> None:
    from mailplat.app.ctl.rerouting import route_again

    parts = _parts(load(file))
    now = int(time.time())
    _change(
        file,
        selection,
        lambda spool, page: route_again(parts.routes, spool, page, now),
        "led another way",
        parts,
    )


def _parts(configuration: Configuration) -> Any:
    """Make what commands need that ask the routes."""
    from twisted.internet import reactor

    from mailplat.app.assembly import assemble

    return assemble(configuration, reactor)


@command.command("bounce")
@config_option
@selection_options
def bounce(file: Path, **chosen: Any) -> None:
    """Give mails up: their senders are told, as if their time were up."""
    from mailplat.app.ctl.giving_up import give_up
    from mailplat.app.outgoing import make_bounces

    selection = selected(chosen)
    configuration = load(file)
    parts = _parts(configuration)

    async def work(spool: Any, page: Selection) -> int:
        bounces = make_bounces(
            configuration, time.time, spool, parts.routes, parts.hostname, parts.queue_ids
        )
        return await give_up(bounces, spool, page)

    _change(file, selection, work, "given up", parts)


@command.command("top")
@config_option
@click.option("--interval", default=2.0, show_default=True, help="Seconds between two looks.")
@click.option("--once", is_flag=True, help="Look once, and end.")
@click.option("--limit", default=20, show_default=True, help="How many destinations.")
def top(file: Path, interval: float, once: bool, limit: int) -> None:
    """Show the fullest destinations, live."""
    configuration = load(file)

    async def work(spool: IOperatedSpool) -> None:
        from twisted.internet import reactor
        from twisted.internet.task import deferLater

        while True:
            lines = [_HEADINGS, *map(_lane, await spool.lanes(limit))]
            if not once:
                click.clear()
            click.echo("\n".join(lines))
            if once:
                return
            await deferLater(reactor, interval)

    if _read(configuration, work, nothing=True):
        click.echo(_HEADINGS)


def _read(
    configuration: Configuration,
    work: Callable[[Any], Awaitable[Any]],
    *,
    nothing: Any = None,
) -> Any:
    """Open the spool, do something, and close it; ``nothing`` if there is no spool yet."""
    from mailplat.app.ctl import running
    from mailplat.app.outgoing import make_spool

    if not (configuration.server.data_directory / "spool" / "spool.sqlite").exists():
        return nothing

    async def whole(reactor: Any) -> Any:
        spool = make_spool(configuration, reactor, time.time, works=False)
        await spool.open()
        try:
            return await work(spool)
        finally:
            await spool.close()

    return running.run(whole)


def _change(
    file: Path,
    selection: Selection,
    work: Callable[[Any, Selection], Awaitable[int]],
    done: str,
    parts: Any = None,
) -> None:
    """Do something to some mails, a page after the other, and say how far it is.

    Args:
        file: The configuration.
        selection: The mails: those that are there now, not what the work itself adds.
        work: Takes the spool, and mails by their queue ids; gives how many changed.
        done: What was done to them.
        parts: What has to be open for it, where it asks the routes.
    """
    from mailplat.app.control import QUEUE_CHANGED, tell

    async def whole(spool: Any) -> int:
        count = 0
        names = await spool.names(selection)
        with click.progressbar(length=len(names), file=sys.stderr) as progress:
            for start in range(0, len(names), _AT_ONCE):
                page = tuple(names[start : start + _AT_ONCE])
                count += await work(spool, Selection(queue_ids=page))
                progress.update(len(page))
        return count

    async def with_routes(spool: Any) -> int:
        await parts.accounts.open()
        try:
            await parts.routes.open()
            try:
                return await whole(spool)
            finally:
                await parts.routes.close()
        finally:
            await parts.accounts.close()

    configuration = load(file)
    count = _read(configuration, whole if parts is None else with_routes, nothing=0)
    told = bool(count) and tell(configuration.server.data_directory, QUEUE_CHANGED)
    running = "" if told or not count else " (no server is running)"
    click.echo(f"{count} mail{'' if count == 1 else 's'} {done}{running}.")


def _brief(mail: Spooled) -> str:
    sender = f"<{mail.sender.address or ''}>"
    size = spell_size(Size(mail.size))
    state = "  held" if mail.held else ""
    lines = [f"{mail.queue_id}  {_age(mail.arrived)}  {size}  {sender}{state}"]
    for one in mail.pending[:10]:
        reason = f"  {one.last.reply.code} {one.last.reply.text}" if one.last else ""
        lines.append(f"    {one.recipient.address}{reason[:200]}")
    if len(mail.pending) > 10:
        lines.append(f"    and {len(mail.pending) - 10} more")
    return "\n".join(lines)


def _details(mail: Spooled) -> Iterator[str]:
    sender = mail.sender
    yield f"Queue id:   {mail.queue_id}{'  (held)' if mail.held else ''}"
    yield f"From:       <{sender.address or ''}>"
    yield f"Arrived:    {_when(mail.arrived)}, {_age(mail.arrived)} ago"
    yield f"Size:       {mail.size} bytes, {sender.body}{' SMTPUTF8' if sender.smtputf8 else ''}"
    asked = [f"RET={sender.returned}"] if sender.returned else []
    asked += [f"ENVID={sender.envid}"] if sender.envid else []
    if asked:
        yield f"Reports:    {' '.join(asked)}"
    for one in mail.pending:
        yield f"To:         {one.recipient.address} by {one.agent or 'the relay'}"
        for to in one.targets:
            yield f"    into    {to.mailbox} of {to.account}"
        if one.recipient.notify:
            yield f"    notify  {','.join(sorted(one.recipient.notify))}"
        if one.recipient.original:
            yield f"    first   {one.recipient.original}"
        yield f"    tried   {one.attempts} times" + (
            f", next {_when(one.due)}" if one.due is not None else ""
        )
        if one.last is not None:
            reply, where = one.last.reply, one.last.where or "here"
            yield f"    said    {reply.code} {reply.status} {reply.text} ({where})"


def _as_json(mail: Spooled) -> str:
    return json.dumps(
        {
            "queue_id": mail.queue_id,
            "sender": str(mail.sender.address or ""),
            "arrived": mail.arrived,
            "size": mail.size,
            "held": mail.held,
            "recipients": [
                {
                    "address": str(one.recipient.address),
                    "agent": one.agent,
                    "mailboxes": [f"{to.account}:{to.mailbox}" for to in one.targets],
                    "attempts": one.attempts,
                    "due": one.due,
                    "code": one.last.reply.code if one.last else None,
                    "reason": one.last.reply.text if one.last else None,
                }
                for one in mail.pending
            ],
        },
        ensure_ascii=False,
    )


_HEADINGS = f"{'recipients':>10}  {'next':>8}  {'rests':>8}  destination"


def _lane(state: LaneState) -> str:
    now = time.time()
    name = state.lane.destination or state.lane.agent or "the relay"
    due = "held" if state.due is None else _span(state.due - now)
    rests = _span(state.blocked - now) if state.blocked > now else ""
    why = f"  {state.last.reply.code} {state.last.reply.text[:60]}" if state.last else ""
    return f"{state.recipients:>10}  {due:>8}  {rests:>8}  {name}{why}"


def _when(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _age(seconds: int) -> str:
    return _span(time.time() - seconds)


def _span(seconds: float) -> str:
    """Spell a time that is left or past, by its two largest units."""
    whole = max(0, int(seconds))
    whole -= whole % (3600 if whole >= 86400 else 60 if whole >= 3600 else 1)
    return spell_duration(Duration(float(whole)))
