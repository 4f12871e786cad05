"""A small table of rules on what is in a message: a field, its text, the names of what is attached.

Patterns are those of RE2, which takes time in proportion to the text, whatever a stranger writes
and whatever an operator wrote.  Rules are looked at in their order; the severest verdict holds, and
points of all that fit are given.

Invariants: no more text is looked at than `max_text`; a text that is no pattern is told when the
configuration is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import attrs
from zope.interface import implementer

from mailplat.config.option import option, required
from mailplat.config.values import Size, size
from mailplat.filters.clients import PolicyAction, judge
from mailplat.filters.reading import in_thread
from mailplat.filters.scanning import scanned
from mailplat.interfaces.filters import Context, IFilter, IStages, Mail, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import charsets, headers, parameters, words
from mailplat.message.edit import edit_header
from mailplat.message.encoding import decode, encoding_of
from mailplat.message.scan import scan
from mailplat.message.tree import Kind, Part
from mailplat.model.errors import ConfigurationFault
from mailplat.model.verdict import CONTINUE, Change, Score, Verdict

__all__ = ["ContentRulesFilter", "ContentRulesOptions", "RuleOptions", "Where"]

_PATTERN_MEMORY = 8 << 20


class Where(StrEnum):
    """What a rule looks at."""

    HEADER = "header"
    BODY = "body"
    ATTACHMENT = "attachment"


@attrs.frozen(kw_only=True)
class RuleOptions:
    """One rule."""

    look_at: Where = required(
        meaning="What is looked at: `header` is the value of each field named `field`, unfolded "
        "and decoded; `body` is the decoded text; `attachment` is the name of each attached file.",
        example="attachment",
    )
    pattern: str = required(
        meaning="A regular expression of RE2, found anywhere; `(?i)` in front makes it blind to "
        "case.",
        example="(?i)\\\\.(exe|scr|js)$",
        precedent="Postfix header_checks, body_checks",
    )
    field: str = option(
        "subject", meaning="The field's name, where `look_at` is `header`; `*` is for all."
    )
    action: PolicyAction = option(PolicyAction.REJECT, meaning="What becomes of mail that it fits.")
    score: float = option(0.0, unit="points", meaning="What it gives, under the filter's name.")
    tag: str = option("", meaning="The word that is noted.")
    words: str = option("", meaning="What the client is told; empty for the usual words.")
    mailbox: str = option("", meaning="Where `quarantine` puts mail, if not into the usual one.")


@attrs.frozen(kw_only=True)
class ContentRulesOptions:
    """The filter ``content_rules``."""

    rules: tuple[RuleOptions, ...] = option((), meaning="The rules, in their order.")
    max_text: Size = option(
        size("1MiB"),
        least=1024,
        meaning="How much of a message is looked at: what is behind that passes.",
        precedent="Postfix body_checks_size_limit (50 KiB)",
    )


@dataclass(frozen=True, slots=True)
class _Rule:
    options: RuleOptions
    pattern: Any

    def fits(self, texts: Sequence[str]) -> bool:
        return any(self.pattern.search(text) is not None for text in texts)


def _compiled(rule: RuleOptions) -> _Rule:
    try:
        import re2
    except ImportError as error:
        raise ConfigurationFault(
            f"content_rules: needs google-re2 ({error}): pip install 'mailplat[rules]'"
        ) from error
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY
    options.log_errors = False
    try:
        return _Rule(rule, re2.compile(rule.pattern, options))
    except re2.error as error:
        raise ConfigurationFault(
            f"content_rules: {rule.pattern!r} is no pattern of RE2: {error}"
        ) from error


@implementer(IFilter)
class ContentRulesFilter:
    """Looks at messages.

    Args:
        name: What log lines call it.
        argument: Nothing.
        options: The rules.
        settings: The threads.

    Raises:
        ConfigurationFault: There is no rule, a pattern cannot be read, or RE2 is not there.
    """

    stages = (Stage.MESSAGE,)

    def __init__(
        self, name: str, argument: str, options: ContentRulesOptions, settings: FilterSettings
    ) -> None:
        if not options.rules:
            raise ConfigurationFault("content_rules: name a rule in [[filter.options.rules]]")
        self.name = name
        self._rules = [_compiled(rule) for rule in options.rules]
        self._most = options.max_text
        self._reactor = settings.reactor

    def open(self) -> IStages:
        """See `IFilter.open`: nothing is remembered of a connection."""
        return _Looked(self)

    async def verdict(self, mail: Mail) -> Verdict:
        """Look at a message."""
        fitting = await in_thread(self._reactor, mail.body, lambda: self._fitting(mail))
        severest, changes = CONTINUE, list[Change]()
        for rule in fitting:
            verdict = judge(
                rule.action,
                rule.words or "The message is not wanted here",
                f"{rule.look_at} fits {rule.pattern}",
                tag=rule.tag,
                mailbox=rule.mailbox,
            )
            changes += verdict.changes
            if rule.score:
                changes.append(Score(self.name, rule.score))
            if verdict.action > severest.action or not severest.reason:
                severest = verdict
        return replace(severest, changes=tuple(changes)) if fitting else CONTINUE

    def _fitting(self, mail: Mail) -> list[RuleOptions]:
        header = edit_header(mail.header, mail.changes)
        wants = {rule.options.look_at for rule in self._rules}
        texts: dict[tuple[Where, str], list[str]] = {}
        if wants != {Where.HEADER}:
            body = scanned(mail)
            message = body.read(0, min(body.size, self._most))
            parts = list(_parts(scan(message).root))
            texts[Where.ATTACHMENT, ""] = [name for part in parts for name in _names(part)]
            if Where.BODY in wants:
                texts[Where.BODY, ""] = [_text(part, message) for part in parts if _is_text(part)]
        found = []
        for rule in self._rules:
            options = rule.options
            key = options.look_at, options.field if options.look_at is Where.HEADER else ""
            if key not in texts:
                texts[key] = _fields(header[: self._most], options.field)
            if rule.fits(texts[key]):
                found.append(options)
        return found


def _fields(header: bytes, name: str) -> list[str]:
    values = (
        [value for _, value in headers.pairs(header)]
        if name == "*"
        else headers.every(header, name.lower().encode())
    )
    return [words.decode(headers.unfold(value)).strip() for value in values]


def _parts(part: Part) -> Iterator[Part]:
    yield part
    for child in part.children:
        yield from _parts(child)


def _names(part: Part) -> Iterator[str]:
    """Give what a part is called as a file; both places count, for programs differ."""
    disposition = parameters.parse(part.fields.get(b"disposition", b""))
    for given, name in ((disposition, b"filename"), (part.parameters, b"name")):
        found = parameters.text(given, name)
        if found:
            yield found


def _is_text(part: Part) -> bool:
    return Kind.PLAIN <= part.kind <= Kind.TEXT


def _text(part: Part, message: bytes) -> str:
    encoding = encoding_of(parameters.token(part.fields.get(b"transfer-encoding", b"")))
    charset = parameters.value_of(part.parameters, b"charset") or b"us-ascii"
    data = decode(message[part.body_start : part.end], encoding)
    return charsets.decode(data, charset.decode("latin-1"))


@implementer(IStages)
class _Looked(Stages):
    def __init__(self, rules: ContentRulesFilter) -> None:
        self._rules = rules

    async def message(self, context: Context, mail: Mail) -> Verdict:
        """Look at the whole message."""
        return await self._rules.verdict(mail)
