"""Ugly mail goes in by SMTP and comes out by IMAP and POP3 byte for byte.

What IMAP says of it is read by a small grammar of the test's own (RFC 9051 §9): a second opinion,
that forgives nothing.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from mailplat.testing.corpus import ugly_messages
from mailplat.testing.twistd import TwistdServer

TRACE = re.compile(
    rb"Return-Path: <a@elsewhere\.example>\r\n"
    rb"Delivered-To: u\d+@example\.org\r\n"
    rb"Received: from client\.example \(\[127\.0\.0\.1\]\)\r\n"
    rb"\tby mail\.example\.org with ESMTP id [0-9a-z]+\r\n"
    rb"\tfor <u\d+@example\.org>;\r\n"
    rb"\t\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} \+0000\r\n\Z"
)
"""What the server puts on top."""


class Wire:
    """A connection that is read by lines and by counts."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._file = wire.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._wire.sendall(data)

    def line(self) -> bytes:
        """Read a line; a bare LF does not end it."""
        line = self._file.readline()
        while not line.endswith(b"\r\n"):
            more = self._file.readline()
            assert more, "the connection ended"
            line += more
        return line[:-2]

    def feed(self) -> bytes:
        """Read to the next LF."""
        line = self._file.readline()
        assert line.endswith(b"\n"), "the connection ended"
        return line

    def read(self, count: int) -> bytes:
        """Read so many bytes."""
        data = self._file.read(count)
        assert len(data) == count
        return data

    def reply(self) -> bytes:
        """Read an SMTP reply; give its last line."""
        while (line := self.line())[3:4] == b"-":
            pass
        return line

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self._wire.close()


def send_all(server: TwistdServer, user: str, messages: list[bytes]) -> None:
    """Bring all messages on one connection, pipelined as RFC 2920 allows."""
    with closing(Wire(server.connect("smtp"))) as wire:
        assert wire.reply().startswith(b"220 ")
        wire.send(b"EHLO client.example\r\n")
        assert wire.reply().startswith(b"250 ")
        for message in messages:
            wire.send(
                b"MAIL FROM:<a@elsewhere.example> SIZE=%d BODY=8BITMIME\r\n"
                b"RCPT TO:<%b>\r\nDATA\r\n" % (len(message), user.encode())
            )
            assert [wire.reply()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
            # a line begins after CRLF alone (RFC 5321 §4.5.2)
            stuffed = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:]
            wire.send(stuffed + b".\r\n")
            assert wire.reply().startswith(b"250 "), message[:100]
        wire.send(b"QUIT\r\n")
        assert wire.reply().startswith(b"221 ")


# IMAP's answers, read by a grammar of our own.

Parsed = Any  # None for NIL, int, bytes for a string, str for an atom, or a list of these

_TOKEN = re.compile(
    rb"(?P<open>\()|(?P<close>\))|\"(?P<quoted>(?:[^\"\\\r\n]|\\[\"\\])*)\"|~?\{(?P<literal>\d+)\}\r\n"
    rb"|(?P<number>\d+)(?=[ )]|\Z)|(?P<atom>[^\x00-\x20(){%*\"\[\]\x7f-\xff]+(?:\[[^\]]*\])?)"
)


def read_response(wire: Wire) -> bytes:
    """Read one response with its literals."""
    response = b""
    while True:
        response += wire.line()
        found = re.search(rb"\{(\d+)\}\Z", response)
        if not found:
            return response
        response += b"\r\n" + wire.read(int(found[1]))


def parse(text: bytes) -> Parsed:
    """Parse one parenthesized list; what is not of the grammar fails."""
    stack: list[list[Parsed]] = [[]]
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found is not None, text[max(0, at - 40) : at + 40]
        at = found.end()
        kind = found.lastgroup
        if kind == "open":
            stack.append([])
            continue
        if kind == "close":
            assert len(stack) > 1, "closed what was never opened"
            value: Parsed = stack.pop()
        elif kind == "quoted":
            value = re.sub(rb"\\(.)", rb"\1", found["quoted"])
            assert b"\0" not in value
        elif kind == "literal":
            value = text[at : at + int(found["literal"])]
            at += int(found["literal"])
        elif kind == "number":
            value = int(found["number"])
        else:
            value = None if found["atom"] == b"NIL" else found["atom"].decode()
        stack[-1].append(value)
        if text[at : at + 1] == b" ":
            at += 1
            assert text[at : at + 1] not in (b" ", b")", b""), text[max(0, at - 40) : at + 40]
        else:
            # only body parts may follow each other without a space
            assert text[at : at + 1] in (b")", b"(", b""), text[max(0, at - 40) : at + 40]
    assert len(stack) == 1
    (whole,) = stack[0]
    return whole


def check_nstrings(values: list[Parsed]) -> None:
    """Every value is a string or NIL."""
    assert all(value is None or isinstance(value, bytes) for value in values), values


def check_envelope(envelope: Parsed) -> None:
    """Ten fields: date, subject, six lists of addresses, in-reply-to, message-id."""
    assert len(envelope) == 10
    check_nstrings([*envelope[:2], *envelope[8:]])
    for addresses in envelope[2:8]:
        assert addresses is None or addresses
        for address in addresses or []:
            assert len(address) == 4
            check_nstrings(address)


def check_parameters(parameters: Parsed) -> None:
    """NIL, or pairs of strings."""
    if parameters is not None:
        assert parameters
        assert len(parameters) % 2 == 0
        assert all(isinstance(value, bytes) for value in parameters)


def check_extensions(extensions: list[Parsed]) -> None:
    """Disposition, language, location (RFC 9051 §7.5.2)."""
    assert len(extensions) == 3
    disposition, language, location = extensions
    if disposition is not None:
        name, parameters = disposition
        assert isinstance(name, bytes)
        check_parameters(parameters)
    check_nstrings(language if isinstance(language, list) else [language])
    check_nstrings([location])


def check_structure(structure: Parsed) -> None:
    """A part, with its parts."""
    todo = [structure]
    while todo:
        part = todo.pop()
        parts = [value for value in part if isinstance(value, list)]
        if isinstance(part[0], list):
            count = next(n for n, value in enumerate(part) if not isinstance(value, list))
            todo += part[:count]
            subtype, parameters, *extensions = part[count:]
            assert isinstance(subtype, bytes)
            check_parameters(parameters)
            check_extensions(extensions)
            continue
        assert len(parts) <= 6
        kind, subtype, parameters, identity, description, encoding, size, *rest = part
        assert isinstance(kind, bytes)
        assert isinstance(subtype, bytes)
        assert isinstance(encoding, bytes)
        assert isinstance(size, int)
        check_parameters(parameters)
        check_nstrings([identity, description])
        if (kind.lower(), subtype.lower()) in ((b"message", b"rfc822"), (b"message", b"global")):
            envelope, inner, lines, *rest = rest
            check_envelope(envelope)
            todo.append(inner)
            assert isinstance(lines, int)
        elif kind.lower() == b"text":
            lines, *rest = rest
            assert isinstance(lines, int)
        digest, *extensions = rest
        check_nstrings([digest])
        check_extensions(extensions)


def by_imap(server: TwistdServer, user: str) -> Iterator[bytes]:
    """Read all messages, and check what is said of each."""
    with closing(Wire(server.connect("imaps", tls=True))) as wire:
        wire.line()
        wire.send(b"a LOGIN %b %b\r\n" % (user.encode(), server.installation.password.encode()))
        wire.send(b"b EXAMINE INBOX\r\n")
        wire.send(b"c FETCH 1:* (UID RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])\r\n")
        number = 0
        while not (response := read_response(wire)).startswith(b"c "):
            fetched = re.match(rb"\* (\d+) FETCH ", response)
            if not fetched:
                assert re.match(rb"\* |[ab] OK ", response), response
                continue
            number += 1
            assert int(fetched[1]) == number
            items = parse(response[fetched.end() :])
            row = dict(zip(items[::2], items[1::2], strict=True))
            assert set(row) == {"UID", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY[]"}
            assert row["RFC822.SIZE"] == len(row["BODY[]"])
            check_envelope(row["ENVELOPE"])
            check_structure(row["BODYSTRUCTURE"])
            yield row["BODY[]"]
        assert response.startswith(b"c OK"), response


def by_pop3(server: TwistdServer, user: str, count: int) -> Iterator[bytes]:
    """Read all messages, all asked for at once (RFC 2449 §6.8)."""
    with closing(Wire(server.connect("pop3s", tls=True))) as wire:
        wire.line()
        wire.send(
            b"USER %b\r\nPASS %b\r\nLIST\r\n"
            % (user.encode(), server.installation.password.encode())
        )
        assert [wire.line()[:3] for _ in range(3)] == [b"+OK"] * 3
        sizes = []
        while (line := wire.line()) != b".":
            sizes.append(int(line.split()[1]))
        assert len(sizes) == count
        wire.send(b"".join(b"RETR %d\r\n" % number for number in range(1, count + 1)))
        for size in sizes:
            assert wire.line().startswith(b"+OK")
            lines = []
            # read as poplib, mpop and fetchmail do: a line ends with LF, whatever is before it
            while (line := wire.feed()) != b".\r\n":
                lines.append(line.removeprefix(b"."))
            message = b"".join(lines)
            assert len(message) == size
            yield message
        wire.send(b"QUIT\r\n")
        assert wire.line().startswith(b"+OK")


def test_ugly_mail_comes_out_as_it_went_in(server: TwistdServer, user: str) -> None:
    """Every byte of every message is kept, by both ways out."""
    names, messages = zip(*ugly_messages(), strict=True)
    assert len(messages) > 100
    send_all(server, user, list(messages))
    imap = list(by_imap(server, user))
    pop3 = list(by_pop3(server, user, len(messages)))
    for name, message, one, two in zip(names, messages, imap, pop3, strict=True):
        assert one.endswith(message), f"{name} by IMAP"
        assert TRACE.match(one[: len(one) - len(message)]), one[: len(one) - len(message)]
        assert two == one, f"{name} by POP3"


@pytest.mark.parametrize(
    "text",
    [b'(A (B NIL) "x")', b"(BODY[] {3}\r\na\0))", b'(("A" "B" NIL)("C" "D") "MIXED")'],
)
def test_the_grammar_takes_what_is_right(text: bytes) -> None:
    """The second opinion reads well-formed lists."""
    assert parse(text)


@pytest.mark.parametrize("text", [b"(A", b"(A))", b'("a\0b\xff)', b"(A  B)", b"(A )", b'("a"b)'])
def test_the_grammar_refuses_what_is_wrong(text: bytes) -> None:
    """The second opinion forgives nothing."""
    with pytest.raises((AssertionError, ValueError)):
        parse(text)
