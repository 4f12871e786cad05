"""ICAP from the client's side (RFC 3507), without a connection.

A message goes as the body of an HTTP response that is to be adapted (RESPMOD), or of a request
(REQMOD).  Its first bytes may go ahead as a preview (§4.5).

Invariants:

- A response is taken however it is cut, and bounded in all of its parts.
- What is not understood is an error, never an answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mailplat.model.errors import Unavailable

__all__ = [
    "END",
    "END_OF_PREVIEW",
    "Found",
    "IcapMethod",
    "IcapResponse",
    "IcapService",
    "ResponseReader",
    "adapt_request",
    "chunk",
    "found_in",
    "options_request",
    "read_options",
]

END = b"0\r\n\r\n"
END_OF_PREVIEW = b"0; ieof\r\n\r\n"
"""In place of `END` where the preview was all there is (§4.5)."""

_MOST_HEAD = 65536
_MOST_LINE = 4096
_LEAST_TTL, _MOST_TTL = 1.0, 86400.0
_MOST_NAME = 100
_STATUS = re.compile(rb"ICAP/1\.\d (\d{3})(?: [^\r\n]*)?")
_HTTP = re.compile(rb"HTTP/\d\.\d (\d{3})")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[ \t]*([^\r\n]*)")
_FOLD = re.compile(rb"\r\n[ \t]+")
_PART = re.compile(r"(req-hdr|res-hdr|req-body|res-body|opt-body|null-body)=(\d{1,7})")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?")
_THREAT = re.compile(r"Threat=([^;]*)")
_UNPRINTABLE = re.compile(r"[^ -~]")


class IcapMethod(StrEnum):
    """What is to be adapted."""

    RESPMOD = "respmod"
    REQMOD = "reqmod"


@dataclass(frozen=True, slots=True)
class IcapService:
    """What OPTIONS said of a service (§4.10).

    Attributes:
        methods: Those that it knows.
        preview: Bytes that it wants to see first; None for no preview.
        seconds: How long this holds.
    """

    methods: frozenset[str]
    preview: int | None = None
    seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class IcapResponse:
    """A response.

    Attributes:
        status: ICAP's.
        fields: ICAP's, by names in lower case.
        http_status: That of the HTTP response inside; 0 if there is none.
        body: What the message became; None if none was sent.
    """

    status: int
    fields: Mapping[str, str]
    http_status: int = 0
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The service objects to a message.

    Attributes:
        name: What it found, printable ASCII; ``""`` if it does not say.
    """

    name: str


def options_request(uri: str, host: str) -> bytes:
    """Ask what a service wants."""
    return f"OPTIONS {uri} ICAP/1.0\r\nHost: {host}\r\nEncapsulated: null-body=0\r\n\r\n".encode()


def adapt_request(
    method: IcapMethod,
    uri: str,
    host: str,
    *,
    size: int,
    about: str,
    client: str = "",
    preview: int | None = None,
) -> bytes:
    """Write all of a request before its body.

    Args:
        method: Which.
        uri: The service's.
        host: The service's host, and its port.
        size: Bytes of the message.
        about: What the message is called: a host and a name, of URL characters.
        client: The SMTP client's IP address; ``""`` for none.
        preview: Bytes that go ahead; None for none.
    """
    name, _, _ = about.partition("/")
    content = f"Content-Type: message/rfc822\r\nContent-Length: {size}\r\n"
    if method is IcapMethod.RESPMOD:
        asked = f"GET http://{about} HTTP/1.1\r\nHost: {name}\r\n\r\n"
        http = f"{asked}HTTP/1.1 200 OK\r\n{content}\r\n"
        parts = f"req-hdr=0, res-hdr={len(asked)}, res-body={len(http)}"
    else:
        http = f"POST http://{about} HTTP/1.1\r\nHost: {name}\r\n{content}\r\n"
        parts = f"req-hdr=0, req-body={len(http)}"
    lines = [f"{method.value.upper()} {uri} ICAP/1.0", f"Host: {host}", "Allow: 204"]
    if client:
        lines.append(f"X-Client-IP: {client}")
    if preview is not None:
        lines.append(f"Preview: {preview}")
    lines.append(f"Encapsulated: {parts}")
    return ("\r\n".join(lines) + "\r\n\r\n" + http).encode()


def chunk(block: bytes) -> bytes:
    """Frame a block of the body; an empty one would end it, and gives nothing."""
    return b"%x\r\n%s\r\n" % (len(block), block) if block else b""


def read_options(response: IcapResponse) -> IcapService:
    """Read what OPTIONS was answered.

    Raises:
        Unavailable: It is no answer.
    """
    if response.status != 200:
        raise Unavailable(f"it answered OPTIONS with status {response.status}")
    fields = response.fields
    methods = frozenset(word.strip().upper() for word in fields.get("methods", "").split(","))
    preview, ttl = fields.get("preview", ""), fields.get("options-ttl", "")
    # whoever lists some kinds for previews and all others for none, wants no preview of ours
    whole = fields.get("transfer-complete", "").strip() == "*"
    return IcapService(
        methods,
        int(preview) if preview.isdigit() and len(preview) < 8 and not whole else None,
        max(_LEAST_TTL, min(float(ttl), _MOST_TTL)) if ttl.isdigit() and len(ttl) < 10 else 3600.0,
    )


def found_in(response: IcapResponse) -> Found | None:
    """Tell what the service objects to; None if to nothing.

    Services name what they found in a field of theirs; those that block put an HTTP response of
    their own in place of the message.
    """
    fields = response.fields
    threat = _THREAT.search(fields.get("x-infection-found", ""))
    name = threat[1] if threat is not None else fields.get("x-virus-id", "")
    named = {"x-infection-found", "x-virus-id", "x-violations-found"} & fields.keys()
    if named or response.http_status >= 400:
        return Found(_UNPRINTABLE.sub("?", name.strip())[:_MOST_NAME])
    return None


@dataclass(slots=True)
class _Parts:
    """What a response has so far.

    Attributes:
        status: ICAP's.
        fields: ICAP's.
        head: Bytes of the HTTP headers.
        has_body: Whether a body follows them.
        http_status: That of the HTTP response.
        body: What came of the body.
    """

    status: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    head: int = 0
    has_body: bool = False
    http_status: int = 0
    body: bytearray = field(default_factory=bytearray)


class _Step(StrEnum):
    FIELDS = "fields"
    HTTP = "http"
    SIZE = "size"
    DATA = "data"
    DATA_END = "data end"
    TRAILERS = "trailers"
    DONE = "done"


class ResponseReader:
    """Reads one response, cut anywhere.

    Args:
        most: Bytes of a body.

    Attributes:
        response: The response, once all of it is there.
        status: ICAP's status, once it is known; 0 before.
    """

    def __init__(self, most: int) -> None:
        self.response: IcapResponse | None = None
        self._most = most
        self._data = bytearray()
        self._step = _Step.FIELDS
        self._left = 0
        self._parts = _Parts()
        self._trailers = 0

    @property
    def status(self) -> int:
        """See the class."""
        return self._parts.status

    @property
    def rest(self) -> bytes:
        """What came behind the response."""
        return bytes(self._data)

    def receive(self, data: bytes) -> None:
        """Take bytes.

        Raises:
            Unavailable: They are no response, or too many.
        """
        self._data += data
        while self._step is not _Step.DONE and self._go_on():
            pass

    def _go_on(self) -> bool:
        """Take the next piece; whether it was there."""
        match self._step:
            case _Step.FIELDS:
                return self._read_fields()
            case _Step.HTTP:
                return self._read_http()
            case _Step.DATA:
                return self._read_data()
        line = self._line()
        if line is None:
            return False
        if self._step is _Step.SIZE:
            self._read_size(line)
        elif self._step is _Step.DATA_END:
            if line:
                raise Unavailable("its chunk is longer than it says")
            self._step = _Step.SIZE
        elif line:
            self._trailers += len(line)
            if self._trailers > _MOST_HEAD:
                raise Unavailable("its trailer has no end")
        else:
            self._done()
        return True

    def _line(self) -> bytes | None:
        end = self._data.find(b"\r\n", 0, _MOST_LINE)
        if end < 0:
            if len(self._data) >= _MOST_LINE:
                raise Unavailable("its line has no end")
            return None
        line = bytes(self._data[:end])
        del self._data[: end + 2]
        return line

    def _read_fields(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end < 0 or end > _MOST_HEAD:
            if len(self._data) > _MOST_HEAD:
                raise Unavailable("its header has no end")
            return False
        first, *lines = _FOLD.sub(b" ", bytes(self._data[:end])).split(b"\r\n")
        del self._data[: end + 4]
        found = _STATUS.fullmatch(first)
        if found is None:
            raise Unavailable(f"it answered {first[:200]!r}")
        parts = self._parts
        for line in lines:
            match = _FIELD.fullmatch(line)
            if match is None:
                raise Unavailable(f"its header has a line {line[:200]!r}")
            name = match[1].decode("ascii").lower()
            parts.fields[name] = match[2].decode("utf-8", "replace").strip()
        parts.status = int(found[1])
        self._read_encapsulated(parts)
        return True

    def _read_encapsulated(self, parts: _Parts) -> None:
        """Find out what follows (§4.4.1)."""
        text = parts.fields.get("encapsulated", "")
        words = [word.strip() for word in text.split(",")] if text else []
        found = [_PART.fullmatch(word) for word in words]
        places = [(match[1], int(match[2])) for match in found if match is not None]
        if len(places) != len(words) or sorted(places, key=lambda one: one[1]) != places:
            raise Unavailable(f"it sent Encapsulated: {text[:200]!r}")
        if not places or parts.status in (100, 204):
            self._done()
            return
        name, parts.head = places[-1]
        if parts.head > _MOST_HEAD or not name.endswith("-body"):
            raise Unavailable(f"it sent Encapsulated: {text[:200]!r}")
        parts.has_body = name != "null-body"
        self._step = _Step.HTTP

    def _read_http(self) -> bool:
        parts = self._parts
        if len(self._data) < parts.head:
            return False
        head = bytes(self._data[: parts.head])
        del self._data[: parts.head]
        # of a request that is answered, the response may stand alone
        for line in head.split(b"\r\n"):
            found = _HTTP.match(line)
            if found is not None:
                parts.http_status = int(found[1])
        if parts.has_body:
            self._step = _Step.SIZE
        else:
            self._done()
        return True

    def _read_size(self, line: bytes) -> None:
        found = _CHUNK.fullmatch(line)
        if found is None:
            raise Unavailable(f"its chunk begins {line[:100]!r}")
        self._left = int(found[1], 16)
        if len(self._parts.body) + self._left > self._most:
            raise Unavailable(f"it sent more than {self._most} bytes")
        self._step = _Step.DATA if self._left else _Step.TRAILERS

    def _read_data(self) -> bool:
        block = self._data[: self._left]
        del self._data[: self._left]
        self._parts.body += block
        self._left -= len(block)
        if self._left:
            return False
        self._step = _Step.DATA_END
        return True

    def _done(self) -> None:
        parts, self._step = self._parts, _Step.DONE
        body = bytes(parts.body) if parts.has_body else None
        self.response = IcapResponse(parts.status, parts.fields, parts.http_status, body)
