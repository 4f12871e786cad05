"""The grammar of SEARCH, SORT and THREAD (RFC 9051 §6.4.4, RFC 5256 §5, and their extensions).

Nesting is bounded by the mode's limit; chains of OR and of NOT, which clients write hundreds
long, are folded as they are read and do not count.
"""

from __future__ import annotations

from collections.abc import Callable

from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.commands.searches import (
    Search,
    SearchRefused,
    SearchReturn,
    Sort,
    SortCriterion,
    SortKey,
    Thread,
)
from mailplat.proto.imap.refusal import Condition, Refusal
from mailplat.proto.imap.search_keys import (
    All,
    And,
    BodyHas,
    DateIs,
    DateOf,
    EmailId,
    HasFlag,
    HeaderHas,
    Larger,
    ModSeq,
    Not,
    Numbers,
    Older,
    Or,
    Recent,
    SaveDateSupported,
    SearchKey,
    Smaller,
    TextHas,
    ThreadId,
    When,
    Younger,
)
from mailplat.proto.imap.sets import PartialRange
from mailplat.proto.imap.tokens import MAX_MODSEQ, Tokens

__all__ = ["SEARCH_KEYS", "search", "sort", "thread"]

_UNSEEN = Not(HasFlag("\\Seen"))

_PLAIN: dict[bytes, SearchKey] = {
    b"ALL": All(),
    b"NEW": And((Recent(), _UNSEEN)),
    b"OLD": Not(Recent()),
    b"RECENT": Recent(),
    b"SAVEDATESUPPORTED": SaveDateSupported(),
}
for _flag in ("Answered", "Deleted", "Draft", "Flagged", "Seen"):
    _PLAIN[_flag.upper().encode()] = HasFlag("\\" + _flag)
    _PLAIN[b"UN" + _flag.upper().encode()] = Not(HasFlag("\\" + _flag))

_DATES = {
    b"": DateOf.INTERNAL,
    b"SENT": DateOf.SENT,
    b"SAVED": DateOf.SAVED,
}


def _dates() -> dict[bytes, tuple[DateOf, When]]:
    return {
        prefix + when.value.encode("ascii"): (of, when)
        for prefix, of in _DATES.items()
        for when in When
    }


_DATE_KEYS = _dates()
_HEADERS = {name.upper().encode(): name for name in ("Bcc", "Cc", "From", "Subject", "To")}


def search(uid: bool) -> Callable[[Tokens, bytes], Command]:
    """``SEARCH [RETURN (...)] [CHARSET name] keys`` (RFC 9051 §6.4.4)."""

    def read(tokens: Tokens, tag: bytes) -> Command:
        tokens.space()
        returns = _returns(tokens)
        charset = "utf-8"
        if _word_follows(tokens, b"CHARSET"):
            if "UTF8=ACCEPT" in tokens.mode.enabled:  # (RFC 6855 §3)
                tokens.fail("CHARSET has no place once UTF8=ACCEPT is enabled")
            try:
                charset = tokens.charset()
            except Refusal as refusal:
                return _refused(tag, refusal, returns)
            tokens.space()
        key = _keys(tokens, charset)
        return Search(tag, uid, key, returns)

    return read


def sort(uid: bool) -> Callable[[Tokens, bytes], Command]:
    """``SORT [RETURN (...)] (criteria) charset keys`` (RFC 5256 §3, RFC 5267 §3)."""

    def read(tokens: Tokens, tag: bytes) -> Command:
        tokens.space()
        returns = _returns(tokens)
        criteria = tokens.listed(_criterion)
        tokens.space()
        try:
            charset = tokens.charset()
        except Refusal as refusal:
            return _refused(tag, refusal, returns)
        tokens.space()
        key = _keys(tokens, charset)
        return Sort(tag, uid, tuple(criteria), key, returns)

    return read


def _refused(tag: bytes, refusal: Refusal, returns: SearchReturn | None) -> SearchRefused:
    """Have the session forget what was saved, where the refusal means that.

    Raises:
        Refusal: It means no more than it says.
    """
    if returns is None or not returns.save or refusal.condition is not Condition.NO:
        raise refusal
    return SearchRefused(tag, refusal.text, refusal.code)


def thread(uid: bool) -> Callable[[Tokens, bytes], Command]:
    """``THREAD algorithm charset keys`` (RFC 5256 §3)."""

    def read(tokens: Tokens, tag: bytes) -> Command:
        tokens.space()
        algorithm = tokens.atom().decode("ascii").upper()
        tokens.space()
        charset = tokens.charset()
        tokens.space()
        key = _keys(tokens, charset)
        return Thread(tag, uid, algorithm, key)

    return read


def _criterion(tokens: Tokens) -> SortCriterion:
    word = tokens.word()
    reverse = word == b"REVERSE"
    if reverse:
        tokens.space()
        word = tokens.word()
    try:
        return SortCriterion(SortKey(word.decode("ascii")), reverse)
    except ValueError:
        tokens.fail("Unknown SORT criterion")


def _returns(tokens: Tokens) -> SearchReturn | None:
    """Read ``RETURN (...)`` with the space behind it, if it comes next (RFC 9051 §6.4.4)."""
    if not _word_follows(tokens, b"RETURN"):
        return None
    wanted: set[bytes] = set()
    partial: PartialRange | None = None
    for word, page in tokens.listed(_return_option, empty=True):
        partial = page or partial
        if word in wanted:
            tokens.fail("Return option given twice")
        wanted.add(word)
    tokens.space()
    if partial is not None and b"ALL" in wanted:  # (RFC 9394 §3.1)
        tokens.fail("PARTIAL and ALL exclude each other")
    return SearchReturn(
        minimum=b"MIN" in wanted,
        maximum=b"MAX" in wanted,
        everything=b"ALL" in wanted or not wanted,
        count=b"COUNT" in wanted,
        save=b"SAVE" in wanted,
        partial=partial,
    )


_RETURN_OPTIONS = frozenset({b"MIN", b"MAX", b"ALL", b"COUNT", b"SAVE"})


def _return_option(tokens: Tokens) -> tuple[bytes, PartialRange | None]:
    word = tokens.word()
    if word == b"PARTIAL":
        tokens.space()
        return word, tokens.partial_range()
    if word not in _RETURN_OPTIONS:
        tokens.fail("Unknown return option")
    return word, None


def _word_follows(tokens: Tokens, word: bytes) -> bool:
    """Read a word and the space behind it, if they come next."""
    if tokens.text[tokens.at : tokens.at + len(word) + 1].upper() != word + b" ":
        return False
    tokens.at += len(word) + 1
    return True


def _keys(tokens: Tokens, charset: str) -> SearchKey:
    reader = _KeyReader(tokens, charset)
    keys = [reader.key(0)]
    while not tokens.at_end:
        tokens.space()
        if tokens.at_end:  # a blank at the end of the line
            break
        keys.append(reader.key(0))
    return _all_of(keys)


def _all_of(keys: list[SearchKey]) -> SearchKey:
    if len(keys) == 1:
        return keys[0]
    flat: list[SearchKey] = []
    for key in keys:
        if isinstance(key, And):
            flat.extend(key.keys)
        else:
            flat.append(key)
    return And(tuple(flat))


def _any_of(keys: list[SearchKey]) -> SearchKey:
    flat: list[SearchKey] = []
    for key in keys:
        if isinstance(key, Or):
            flat.extend(key.keys)
        else:
            flat.append(key)
    return Or(tuple(flat))


class _KeyReader:
    """Reads search keys; knows the charset that their strings are in."""

    def __init__(self, tokens: Tokens, charset: str) -> None:
        self._tokens = tokens
        self._charset = charset

    def key(self, depth: int) -> SearchKey:
        """Read one key, which may hold others."""
        tokens = self._tokens
        if depth > tokens.mode.nesting:
            tokens.fail("Search keys are nested too deep")
        turned = False
        while _word_follows(tokens, b"NOT"):
            turned = not turned
        key = self._positive(depth)
        if not turned:
            return key
        return key.key if isinstance(key, Not) else Not(key)

    def _positive(self, depth: int) -> SearchKey:
        tokens = self._tokens
        if tokens.found(b"("):
            keys = [self.key(depth + 1)]
            while not tokens.found(b")"):
                tokens.space()
                keys.append(self.key(depth + 1))
            return _all_of(keys)
        if tokens.text[tokens.at : tokens.at + 1] in _SET_STARTS:
            return Numbers(tokens.sequence_set(), uid=False)
        if _word_follows(tokens, b"OR"):
            keys = [self.key(depth + 1)]
            tokens.space()
            while _word_follows(tokens, b"OR"):
                keys.append(self.key(depth + 1))
                tokens.space()
            keys.append(self.key(depth + 1))
            return _any_of(keys)
        return self._named(tokens.word())

    def _named(self, word: bytes) -> SearchKey:
        plain = _PLAIN.get(word)
        if plain is not None:
            return plain
        tokens = self._tokens
        further = tokens.mode.search_keys.get(word)
        if further is not None:
            made: SearchKey = further(tokens)
            return made
        if word not in _WITH_ARGUMENT and word not in _HEADERS and word not in _DATE_KEYS:
            tokens.fail("Unknown search key")
        tokens.space()
        if word in _HEADERS:
            return HeaderHas(_HEADERS[word], self._text())
        if word in _DATE_KEYS:
            of, when = _DATE_KEYS[word]
            return DateIs(of, when, tokens.date())
        return _WITH_ARGUMENT[word](self)

    def _text(self) -> str:
        value = self._tokens.astring()
        try:
            return value.decode(self._charset)
        except UnicodeDecodeError:
            self._tokens.fail("A string is not in the charset given")

    def _header(self) -> SearchKey:
        name = self._tokens.text_argument()
        self._tokens.space()
        return HeaderHas(name, self._text())

    def _keyword(self) -> SearchKey:
        return HasFlag(self._tokens.keyword())

    def _modseq(self) -> SearchKey:
        tokens = self._tokens
        if tokens.follows(b'"'):  # (RFC 7162 §3.1.5): entry name and type
            tokens.string()
            tokens.space()
            if tokens.word() not in {b"PRIV", b"SHARED", b"ALL"}:
                tokens.fail("Unknown entry type")
            tokens.space()
        return ModSeq(tokens.number(MAX_MODSEQ))


_SET_STARTS = frozenset(bytes([byte]) for byte in b"0123456789*$")

_WITH_ARGUMENT: dict[bytes, Callable[[_KeyReader], SearchKey]] = {
    b"BODY": lambda reader: BodyHas(reader._text()),
    b"EMAILID": lambda reader: EmailId(reader._tokens.object_id()),
    b"HEADER": _KeyReader._header,
    b"KEYWORD": _KeyReader._keyword,
    b"LARGER": lambda reader: Larger(reader._tokens.number64()),
    b"MODSEQ": _KeyReader._modseq,
    b"OLDER": lambda reader: Older(reader._tokens.nz_number()),
    b"SMALLER": lambda reader: Smaller(reader._tokens.number64()),
    b"TEXT": lambda reader: TextHas(reader._text()),
    b"THREADID": lambda reader: ThreadId(reader._tokens.object_id()),
    b"UID": lambda reader: Numbers(reader._tokens.sequence_set(), uid=True),
    b"UNKEYWORD": lambda reader: Not(reader._keyword()),
    b"YOUNGER": lambda reader: Younger(reader._tokens.nz_number()),
}

SEARCH_KEYS = frozenset({b"OR", b"NOT"}).union(_PLAIN, _WITH_ARGUMENT, _HEADERS, _DATE_KEYS)
"""The names that are taken, in capitals."""
