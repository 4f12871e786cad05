"""Asks SpamAssassin's spamd for a message's score, and decides by thresholds.

Invariants:

- A message passes only on a score that spamd gave after it had all of the message.
- X-Spam fields in a message are ours or spamd's, never the sender's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.values import Size, size
from mailplat.filters.reading import blocks
from mailplat.filters.scanning import ScanOptions, judged, oversize, scanned, too_large
from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.filters import Context, IFilter, IStages, Mail, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import headers
from mailplat.message.trace import return_path
from mailplat.model.errors import Unavailable
from mailplat.model.verdict import Action, AddHeader, Change, RemoveHeader, Score, Verdict
from mailplat.net.daemon import Daemon
from mailplat.proto.spamd import Command, Report, read_answer, request

__all__ = ["SpamdFilter", "SpamdOptions"]

_PREFIX = "x-spam-"
_OURS = {"x-spam-status", "x-spam-score", "x-spam-flag", "x-spam-level"}
_MOST_FIELDS = 50
_MOST_LEVEL = 50
_BY_RECIPIENT = "{recipient}"


@attrs.frozen(kw_only=True)
class SpamdOptions(ScanOptions):
    """How SpamAssassin's spamd is asked."""

    command: Command = option(
        Command.SYMBOLS,
        meaning="`check` asks for the score, `symbols` for the rules that matched too, `headers` "
        "for the X-Spam fields that SpamAssassin's own configuration makes.",
        precedent="Exim's spam condition (REPORT)",
    )
    tag: float | None = option(
        None,
        unit="points",
        meaning="Messages from this score on are flagged as spam. Not set, spamd's own "
        "`required_score` holds.",
        precedent="SpamAssassin required_score (5.0)",
        example=5.0,
    )
    quarantine: float | None = option(
        None,
        unit="points",
        meaning="Messages from this score on are put into quarantine. Not set, none are.",
        example=8.0,
    )
    reject: float | None = option(
        15.0,
        unit="points",
        meaning="Messages from this score on are refused.",
        precedent="spamass-milter -r 15, as its packages have it",
    )
    user: str = option(
        "",
        meaning="Whose preferences hold: a name. `{recipient}` is the recipient's address where "
        "there is but one. Empty is for spamd's own.",
        precedent="spamc -u",
    )
    max_answer: Size = option(
        size("64KiB"), least=1024, meaning="How long an answer of spamd may be."
    )


@implementer(IFilter)
class SpamdFilter:
    """Scores mail.

    Args:
        name: What log lines and scores call it.
        where: spamd's endpoint.
        options: The thresholds.
        settings: The reactor.

    Raises:
        ConfigurationFault: The endpoint cannot be read.
    """

    stages = (Stage.MESSAGE,)
    reads_only = True

    def __init__(
        self, name: str, where: str, options: SpamdOptions, settings: FilterSettings
    ) -> None:
        self.name = name
        self._options = options
        self._settings = settings
        self._daemon = Daemon(
            settings.reactor,
            where,
            connections=options.connections,
            connect=options.connect_timeout,
            most=options.max_answer,
        )

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return _Scoring(self.name, self._options, self._daemon, self._settings)


@implementer(IStages)
class _Scoring(Stages):
    def __init__(
        self, name: str, options: SpamdOptions, daemon: Daemon, settings: FilterSettings
    ) -> None:
        self._name = name
        self._options = options
        self._daemon = daemon
        self._reactor = settings.reactor

    async def message(self, context: Context, mail: Mail) -> Verdict:
        """Have the message scored."""
        options, body = self._options, scanned(mail)
        if too_large(body, options):
            return oversize("spamd", body.size, options)
        async with self._daemon.talk(options.time) as talk:
            complete = await talk.send_all(self._request(options.command, mail, body))
            report = read_answer(await talk.rest(), options.command)
        if not complete:
            raise Unavailable(f"{self._daemon.where}: it answered before it had the message")
        return self._decide(report, mail)

    async def _request(self, command: Command, mail: Mail, body: IBody) -> AsyncIterator[bytes]:
        address = mail.envelope.sender.address
        # SpamAssassin finds the envelope's sender there, for SPF
        first = return_path("" if address is None else str(address))
        yield request(command, len(first) + body.size, self._user(mail)) + first
        async for block in blocks(self._reactor, body):
            yield block

    def _user(self, mail: Mail) -> str:
        user = self._options.user
        if user != _BY_RECIPIENT:
            return user
        recipients = mail.envelope.recipients
        return str(recipients[0].address) if len(recipients) == 1 else ""

    def _decide(self, report: Report, mail: Mail) -> Verdict:
        options = self._options
        tag = report.required if options.tag is None else options.tag
        changes: list[Change] = [Score(self._name, report.score)]
        changes += [RemoveHeader(name) for name in _spam_fields(mail.header)]
        if report.header:
            changes += _as_spamd_says(report.header)
        else:
            changes += _fields(report, tag)
        action = Action.CONTINUE
        if options.reject is not None and report.score >= options.reject:
            action = Action.REJECT
        elif options.quarantine is not None and report.score >= options.quarantine:
            action = Action.QUARANTINE
        reason = f"spamd: score {report.score:g} of {report.required:g}"
        if report.symbols:
            reason += f" ({', '.join(report.symbols)})"
        return judged(action, "The message looks like spam", reason, changes)


def _spam_fields(header: bytes) -> list[str]:
    """List the names of the fields that only a spam filter writes, each once, ours first."""
    names = dict.fromkeys(name for name in headers.names(header) if name.startswith(_PREFIX))
    return sorted(names, key=lambda name: name not in _OURS)[:_MOST_FIELDS]


def _as_spamd_says(header: bytes) -> list[Change]:
    """Take the fields over that spamd made."""
    return [
        AddHeader(name, value.decode("utf-8", "replace"))
        for name in _spam_fields(header)
        for value in headers.every(header, name.encode("ascii"))[:1]
    ]


def _fields(report: Report, tag: float) -> list[Change]:
    spam = report.score >= tag
    tests = ",".join(report.symbols) or "none"
    said = f"{'Yes' if spam else 'No'}, score={report.score:.1f} required={tag:.1f} tests={tests}"
    level = "*" * max(0, min(int(report.score), _MOST_LEVEL))
    fields = [
        AddHeader("X-Spam-Status", said),
        AddHeader("X-Spam-Score", f"{report.score:.1f}"),
        AddHeader("X-Spam-Flag", "YES" if spam else "NO"),
    ]
    return [*fields, AddHeader("X-Spam-Level", level)] if level else list(fields)
