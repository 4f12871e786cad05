"""``mailplatctl store``: look after the mail that is kept, and carry it in and out.

All work is in `mailplat.app.upkeep`; here are the words.  A store in a database may be in use by a
server meanwhile; one of Maildirs says that it is, and is left alone.
"""

from __future__ import annotations

import mmap
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mailplat.app.ctl.account import config_option
from mailplat.config.load import load
from mailplat.config.options import Configuration
from mailplat.model.mailbox import INBOX, SEPARATOR

if TYPE_CHECKING:
    from mailplat.app.upkeep.carrying import Carried
    from mailplat.app.upkeep.mbox import Mail
    from mailplat.interfaces.store import IHome, IStore
    from mailplat.interfaces.upkeep import Fault

__all__ = ["command"]

_accounts = click.argument("accounts", metavar="[ACCOUNT]...", nargs=-1)
_Work = Callable[["IStore", Configuration], Awaitable[Any]]
_Source = tuple[str, int, Callable[[], Iterator["Mail"]]]


@click.group(short_help="Verify, repair, import and export mail.")
def command() -> None:
    """Verify, repair, import and export the mail that is kept.

    \b
    Examples:
      mailplatctl store verify --config /srv/mail/mailplat.toml
      mailplatctl store repair alice
      mailplatctl store import alice ~/Maildir
      mailplatctl store import alice old.mbox --into Archive/2019
      mailplatctl store export alice /backup/alice --format mbox
      mailplatctl store stats
    """  # noqa: D301 -- click wants the control character


@command.command("verify")
@config_option
@click.option("--quick", is_flag=True, help="Do not read the messages, only what is about them.")
@_accounts
@click.pass_context
def verify_it(ctx: click.Context, file: Path, quick: bool, accounts: tuple[str, ...]) -> None:
    """Look for faults in the mail of ACCOUNTs, or of everybody; change nothing.

    Counters, UIDs and quota are counted again, every message is read and held against what the
    index says of it, and the search index is asked for some of their text. Each fault is told
    with its mailbox and UID; the exit status is 1 if there is one.
    """

    async def work(store: IStore, configuration: Configuration) -> Sequence[Fault]:
        return await _find_faults(store, configuration, accounts, bodies=not quick)

    faults = _with_store(file, work)
    for fault in faults:
        click.echo(fault)
    if faults:
        click.echo(f"{_count(len(faults), 'fault')}; `mailplatctl store repair` mends", err=True)
        ctx.exit(1)
    click.echo("No faults.")


@command.command("repair")
@config_option
@click.option(
    "--drop-missing",
    is_flag=True,
    help="Remove messages whose bytes are lost or damaged; restore a backup first if there is one.",
)
@_accounts
@click.pass_context
def repair(ctx: click.Context, file: Path, drop_missing: bool, accounts: tuple[str, ...]) -> None:
    """Verify the mail of ACCOUNTs, or of everybody, and mend what can be mended.

    Counters are counted again, summaries made anew from the messages, the search index is built
    anew where it misses something. No message is removed without --drop-missing. The exit status
    is 1 if something is left.
    """
    from mailplat.app.keeping import scan_limits_of
    from mailplat.app.upkeep.verifying import mend

    async def work(store: IStore, configuration: Configuration) -> Any:
        faults = await _find_faults(store, configuration, accounts, bodies=True)
        limits = scan_limits_of(configuration)
        return await mend(store, faults, limits, drop_missing=drop_missing)

    outcome = _with_store(file, work)
    for fault in outcome.mended:
        click.echo(f"mended: {fault}")
    for fault in outcome.left:
        click.echo(f"left:   {fault}")
    click.echo(f"{_count(len(outcome.mended), 'fault')} mended, {len(outcome.left)} left.")
    if outcome.left:
        click.echo(
            "What is left needs a backup; lost messages can be removed by --drop-missing.", err=True
        )
        ctx.exit(1)


@command.command("reindex")
@config_option
@click.option("--all", "everything", is_flag=True, help="All summaries, not only old ones.")
@_accounts
def reindex(file: Path, everything: bool, accounts: tuple[str, ...]) -> None:
    """Make summaries anew that an older mailplat made, and build the search index anew.

    A server that runs meanwhile may show the old summaries until it is started again.
    """
    from mailplat.app.keeping import scan_limits_of
    from mailplat.interfaces.search import ISearchIndex
    from mailplat.interfaces.upkeep import FaultKind, IRepairable
    from mailplat.model.numset import MAX_NUMBER, NumSet

    async def work(store: IStore, configuration: Configuration) -> int:
        names = await _names(store, configuration, accounts)
        limits = scan_limits_of(configuration)
        repairable: IRepairable | None = IRepairable(store, None)
        done = 0
        if repairable is not None:
            with _bar(len(names), "Summaries") as advance:
                for account in names:
                    wanted: dict[str, list[int]] = {}
                    for fault in await repairable.faults(account):
                        if fault.kind is FaultKind.SUMMARY:
                            wanted.setdefault(fault.mailbox, []).append(fault.uid)
                    some = {mailbox: NumSet.of(uids) for mailbox, uids in wanted.items()}
                    if everything:
                        home = await store.open_home(account)
                        some = {
                            info.name: NumSet.span(1, MAX_NUMBER)
                            for info in await home.mailboxes()
                            if info.exists
                        }
                    for mailbox, uids in some.items():
                        done += len(await repairable.summarize(account, mailbox, uids, limits))
                    advance(1)
        index: ISearchIndex | None = ISearchIndex(store, None)
        if index is not None:
            click.echo("Building the search index.", err=True)
            await index.rebuild()
        return done

    click.echo(f"{_count(_with_store(file, work), 'summary', 'summaries')} made anew.")


@command.command("stats")
@config_option
@_accounts
def stats(file: Path, accounts: tuple[str, ...]) -> None:
    """Tell how much mail ACCOUNTs have, or everybody."""

    async def work(store: IStore, configuration: Configuration) -> list[tuple[str, int, int, int]]:
        found = []
        for account in await _names(store, configuration, accounts):
            home = await store.open_home(account)
            usage = await home.usage()
            mailboxes = sum(info.exists for info in await home.mailboxes())
            found.append((account, mailboxes, usage.messages, usage.storage))
        return found

    rows = _with_store(file, work)
    if not rows:
        click.echo("There is no mail.", err=True)
        return
    if len(rows) > 1:
        sums = [sum(row[column] for row in rows) for column in (1, 2, 3)]
        rows.append((_count(len(rows), "account"), *sums))
    for account, mailboxes, messages, size in rows:
        click.echo(
            f"{account:<32}  {mailboxes:>6} mailboxes  {messages:>9} messages  {_size(size):>11}"
        )


@command.command("export")
@config_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["maildir", "mbox"]),
    default="maildir",
    show_default=True,
    help="A Maildir++ tree, or a file NAME.mbox for each mailbox.",
)
@click.option("--mailbox", "only", multiple=True, metavar="NAME", help="This one; may be repeated.")
@click.argument("account")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.pass_context
def export(
    ctx: click.Context,
    file: Path,
    form: str,
    only: tuple[str, ...],
    account: str,
    directory: Path,
) -> None:
    """Write the mail of ACCOUNT into DIRECTORY, with flags and dates.

    A Maildir export that was broken off goes on where it was; messages removed from the server
    since then stay in DIRECTORY. A damaged message is left out and told; the exit status is then 1.
    """
    from mailplat.app.upkeep.carrying import Carried, MboxWriter, export_mailbox, maildir_target

    async def work(store: IStore, configuration: Configuration) -> Carried:
        (name,) = await _names(store, configuration, (account,))
        home = await store.open_home(name)
        names = only or tuple(info.name for info in await home.mailboxes() if info.exists)
        total = sum(status.messages for status in (await home.status(names)).values())
        sums = Carried()
        with _bar(total, "Exporting") as advance:
            for one in names:
                with closing(await home.open_mailbox(one)) as mailbox:
                    if form == "mbox":
                        with closing(MboxWriter(directory, mailbox.name)) as writer:
                            _add(sums, await export_mailbox(mailbox, writer, advance))
                            writer.finish()
                    else:
                        target = maildir_target(directory, mailbox)
                        _add(sums, await export_mailbox(mailbox, target, advance))
        return sums

    done = _with_store(file, work)
    there = f", {done.there} were there" if done.there else ""
    click.echo(f"{_count(done.messages, 'message')} exported to {directory}{there}.")
    for reason in done.unread:
        click.echo(f"left out: {reason}", err=True)
    if done.unread:
        ctx.exit(1)


@command.command("import")
@config_option
@click.option("--into", metavar="NAME", help="Put it into this mailbox, what is below it below.")
@click.argument("account")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
def import_it(file: Path, into: str | None, account: str, source: Path) -> None:
    """Take the mail of SOURCE into the mailboxes of ACCOUNT, with flags and dates.

    SOURCE is a Maildir, with the mailboxes below it; an mbox file; or a directory of files
    NAME.mbox. Messages that are there already are passed over, so an import that was broken off
    can simply be begun again.
    """
    from mailplat.app.keeping import scan_limits_of
    from mailplat.app.upkeep.carrying import Carried, import_mails

    async def work(store: IStore, configuration: Configuration) -> Carried:
        home = await _home_to_fill(store, configuration, account)
        limits = scan_limits_of(configuration)
        sums = Carried()
        sources = _sources(source, into)
        with _bar(sum(count for _, count, _ in sources), "Importing") as advance:
            for name, _, read in sources:
                carried = await import_mails(
                    home, name, read(), limits, now=int(time.time()), advance=advance
                )
                _add(sums, carried)
        return sums

    done = _with_store(file, work)
    there = f", {done.there} were there" if done.there else ""
    click.echo(f"{_count(done.messages, 'message')} imported{there}.")
    if done.unflagged:
        click.echo(
            f"{_count(done.unflagged, 'message')} lost keywords: the mailbox has no room for "
            "more (store.max_keywords).",
            err=True,
        )


def _sources(source: Path, into: str | None) -> list[_Source]:
    """Find mailboxes to import: each with its name, how many messages it has, and them."""
    from mailplat.app.upkeep.maildirs import count_files, is_maildir, mailboxes_in, read_maildir

    def placed(name: str) -> str:
        if into is None:
            return name
        return into if name == INBOX else f"{into}{SEPARATOR}{name}"

    if source.is_file():
        return [(into or source.stem, _count_mbox(source), lambda: _read_mbox(source))]
    if is_maildir(source):
        return [
            (placed(name), count_files(path), lambda path=path: read_maildir(path))  # type: ignore[misc]
            for name, path in mailboxes_in(source).items()
        ]
    files = sorted(source.rglob("*.mbox"))
    if not files:
        raise click.ClickException(f"{source}: neither a Maildir nor a directory of .mbox files")
    return [
        (
            placed(path.relative_to(source).with_suffix("").as_posix()),
            _count_mbox(path),
            lambda path=path: _read_mbox(path),  # type: ignore[misc]
        )
        for path in files
        if path.is_file()
    ]


def _read_mbox(path: Path) -> Iterator[Mail]:
    from mailplat.app.upkeep.mbox import read_mbox

    if path.stat().st_size:
        with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as m:
            yield from read_mbox(m)  # type: ignore[arg-type]  # a map is as good as bytes


def _count_mbox(path: Path) -> int:
    return sum(1 for _ in _read_mbox(path))


async def _find_faults(
    store: IStore, configuration: Configuration, accounts: Sequence[str], *, bodies: bool
) -> list[Fault]:
    from mailplat.app.keeping import scan_limits_of
    from mailplat.app.upkeep.verifying import verify

    names = await _names(store, configuration, accounts)
    total = 0
    for name in names:
        total += (await (await store.open_home(name)).usage()).messages
    with _bar(total, "Verifying") as advance:
        return [
            fault
            async for fault in verify(
                store,
                names,
                scan_limits_of(configuration),
                whole_store=not accounts,
                bodies=bodies,
                advance=advance,
            )
        ]


async def _names(
    store: IStore, configuration: Configuration, accounts: Sequence[str]
) -> Sequence[str]:
    """Find accounts that have mail, by their names or their names in the first domain."""
    have = await store.accounts()
    found = []
    for account in accounts:
        names = [name for name in _spellings(configuration, account) if name in have]
        if not names:
            raise click.ClickException(
                f"{account} has no mail here; `mailplatctl store stats` names who has"
            )
        found.append(names[0])
    return found or have


def _spellings(configuration: Configuration, account: str) -> tuple[str, str]:
    name = account.lower()
    return name, f"{name}@{configuration.server.domains[0]}"


async def _home_to_fill(store: IStore, configuration: Configuration, account: str) -> IHome:
    """Find a home, or make that of an account that has no mail yet."""
    from twisted.internet import reactor

    from mailplat.app.parts import make_accounts

    directory = str(configuration.server.data_directory)
    accounts = make_accounts(configuration.accounts.use, reactor, directory)
    await accounts.open()
    try:
        for name in _spellings(configuration, account):
            found = await accounts.find_account(name)
            if found is not None:
                return await store.open_home(found.name)
    finally:
        await accounts.close()
    raise click.ClickException(
        f"there is no account {account}; `mailplatctl account add {account}` makes one"
    )


def _with_store(file: Path, work: _Work) -> Any:
    """Open the store of a configuration, do something, and close it."""
    from mailplat.app.ctl import running
    from mailplat.app.keeping import store_of
    from mailplat.app.parts import check_part

    configuration = load(file, check_part=check_part)

    async def whole(reactor: Any) -> Any:
        store = store_of(configuration, reactor)
        await store.open()
        try:
            return await work(store, configuration)
        finally:
            await store.close()

    return running.run(whole)


@contextmanager
def _bar(length: int, label: str) -> Iterator[Callable[[int], None]]:
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


def _add(sums: Carried, more: Carried) -> None:
    sums.messages += more.messages
    sums.there += more.there
    sums.unflagged += more.unflagged
    sums.unread += more.unread


def _size(count: int) -> str:
    """Spell bytes as people read them."""
    if count < 1024:
        return f"{count} B"
    power = min((count.bit_length() - 1) // 10, 4)
    return f"{count / 1024**power:.1f} {'KMGT'[power - 1]}iB"


def _count(number: int, word: str, words: str = "") -> str:
    return f"{number} {word if number == 1 else words or word + 's'}"
