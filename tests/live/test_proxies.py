"""A server behind proxies: PROXY headers before SMTP, POP3 and IMAP; XCLIENT."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from mailplat.testing.twistd import PORTS, Installation, TwistdServer, until

BEHIND = ("smtp", "submissions", "pop3s", "imaps")
LINE = b"PROXY TCP4 203.0.113.9 198.51.100.5 51000 25\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ENDS = ip_address("2001:db8::9").packed + ip_address("2001:db8::1").packed
BINARY = SIGNATURE + struct.pack("!BBH", 0x21, 0x21, 36) + ENDS + struct.pack("!HH", 51000, 993)
LOCAL = SIGNATURE + b"\x20\0\0\0"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwistdServer]:
    """A server that believes this machine, on some of its ports."""
    folder: Path = tmp_path_factory.mktemp("proxied")
    options = {
        "limits": 'proxy_header_timeout = "1s"',
        "smtp": 'xclient_from = ["127.0.0.0/8"]',
    }
    full = "full@example.org:{PLAIN}x:quota-messages=0\n"
    made = Installation.make(folder, "memory:", users=5, options=options, accounts=full)
    tables = [
        f'\n[[listener]]\nprotocol = "{name}"\n'
        f'endpoint = "tcp:{made.port(name)}:interface=127.0.0.1"\n'
        + ('proxies = ["127.0.0.1"]\n' if name in BEHIND else "")
        for name in PORTS
    ]
    tables.append('\n[[listener]]\nprotocol = "lmtp"\nendpoint = "unix:lmtp.sock:mode=600"\n')
    made.configuration.write_text(made.configuration.read_text() + "".join(tables))
    server = TwistdServer(made)
    try:
        server.start()
        yield server
        server.stop()
        assert not server.complaints()
    finally:
        server.end()


def begin(server: TwistdServer, name: str, header: bytes) -> socket.socket:
    """Connect as a proxy does, and shake hands behind the header where the port has TLS."""
    wire = server.connect(name)
    wire.sendall(header)
    if name == "smtp":
        return wire
    return server.trust.wrap_socket(wire, server_hostname="localhost")


def talk(wire: socket.socket, data: bytes) -> bytes:
    """Say something, and give all that is said until the end."""
    said = b""
    with wire:
        wire.sendall(data)
        with contextlib.suppress(ConnectionError):
            while more := wire.recv(65536):
                said += more
    return said


DIALOGUES = {
    "smtp": (b"EHLO c\r\nQUIT\r\n", b"221 2.0.0"),
    "submissions": (b"EHLO c\r\nQUIT\r\n", b"221 2.0.0"),
    "pop3s": (b"CAPA\r\nQUIT\r\n", b"+OK"),
    "imaps": (b"a CAPABILITY\r\nb LOGOUT\r\n", b"b OK"),
}


@pytest.mark.parametrize("name", BEHIND)
def test_every_protocol_behind_a_proxy(proxied: TwistdServer, name: str) -> None:
    """Headers of both versions, and of a proxy that speaks for itself, with TLS behind them."""
    for header in (LINE, BINARY, LOCAL, b"PROXY UNKNOWN\r\n"):
        data, expected = DIALOGUES[name]
        assert expected in talk(begin(proxied, name, header), data)


def test_the_client_is_named_in_trace_and_log(proxied: TwistdServer) -> None:
    """What is told of the client is what the proxy said, after STARTTLS too."""
    user = proxied.installation.users[0]
    mail = f"MAIL FROM:<a@b.example>\r\nRCPT TO:<{user}>\r\nDATA\r\nA: b\r\n\r\nx\r\n.\r\nQUIT\r\n"
    wire = begin(proxied, "smtp", LINE)
    wire.settimeout(10)
    said = b""
    wire.sendall(b"EHLO c\r\nSTARTTLS\r\n")
    while b"220 2.0.0" not in said:
        said += wire.recv(4096)
    secured = proxied.trust.wrap_socket(wire, server_hostname="localhost")
    assert b"Ok: queued" in talk(secured, b"EHLO c\r\n" + mail.encode())
    said = talk(begin(proxied, "pop3s", BINARY), pop3_retr(proxied, user))
    assert b"([203.0.113.9])" in said
    until(lambda: "2001:db8::9" in proxied.log())


def test_who_brings_no_header_is_cut(proxied: TwistdServer) -> None:
    """Without a word, at once where it is none, and after its time where it is late."""
    long = SIGNATURE + b"\x21\x11\xff\xff"
    for data in (b"EHLO c\r\n", b"PROXY " + b"x" * 200, LINE[:20], b"", long):
        assert talk(proxied.connect("smtp"), data) == b""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        proxied.connect("imaps", tls=True)


def test_xclient(proxied: TwistdServer) -> None:
    """A proxy that this server trusts says for whom it speaks; behind another proxy nobody may."""
    user = proxied.installation.users[1]
    with proxied.smtp("submission") as client:
        assert client.docmd("XCLIENT", f"ADDR=203.0.113.77 PORT=5 LOGIN={user}")[0] == 220
        client.ehlo("c.example")
        assert client.mail(user)[0] == 250
        assert client.rcpt(user)[0] == 250
        assert client.data(b"From: <" + user.encode() + b">\r\n\r\nx\r\n")[0] == 250
    assert b"203.0.113.77" in talk(begin(proxied, "pop3s", LINE), pop3_retr(proxied, user))
    said = talk(begin(proxied, "smtp", LINE), b"EHLO c\r\nXCLIENT ADDR=192.0.2.9\r\nQUIT\r\n")
    assert b"XCLIENT NAME" not in said
    assert b"502 5.5.1" in said


def pop3_retr(server: TwistdServer, user: str) -> bytes:
    """Write a dialogue that reads the first message."""
    return f"USER {user}\r\nPASS {server.installation.password}\r\nRETR 1\r\nQUIT\r\n".encode()


def test_lmtp_on_a_socket(proxied: TwistdServer) -> None:
    """A reply for each recipient, at RCPT and behind the message (RFC 2033 §4.2)."""
    wire = socket.socket(socket.AF_UNIX)
    wire.settimeout(10)
    wire.connect(str(proxied.installation.directory / "lmtp.sock"))
    first, second = proxied.installation.users[2:4]
    names = (first, "nobody@example.org", second, "full@example.org")
    rcpts = "".join(f"RCPT TO:<{name}>\r\n" for name in names)
    mail = f"MAIL FROM:<a@b.example>\r\n{rcpts}DATA\r\nSubject: socket\r\n\r\nx\r\n.\r\n"
    said = talk(wire, f"LHLO mta\r\nEHLO mta\r\n{mail}QUIT\r\n".encode()).decode()
    codes = [line[:9] for line in said.splitlines() if line[3] == " "]
    assert codes[:3] == ["220 mail.", "250 HELP", "500 5.5.1"]
    assert codes[3:] == [
        "250 2.1.0",
        *("250 2.1.5", "550 5.1.1", "250 2.1.5", "452 4.2.2"),
        "354 End t",
        *("250 2.0.0", "250 2.0.0"),
        "221 2.0.0",
    ]
    assert b"with LMTP id" in talk(begin(proxied, "pop3s", LINE), pop3_retr(proxied, first))
