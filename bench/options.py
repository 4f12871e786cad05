"""What is measured, how much of it, and beside whom."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SUBJECTS", "Login", "Options", "Relay", "read_options"]

SUBJECTS = (
    "message",
    "auth",
    "filters",
    "store",
    "postgresql",
    "bodies",
    "columns",
    "million",
    "search",
    "imap",
    "trips",
    "arrival",
    "pop3",
    "smtp",
    "relay",
    "queue",
    "idle",
    "watched",
    "dying",
    "survival",
)
"""All subjects, in the order in which they are measured."""


@dataclass(frozen=True, slots=True)
class Login:
    """A peer's port, and somebody who may log in there."""

    host: str
    port: int
    user: str
    password: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}:{self.user}:{self.password}"


@dataclass(frozen=True, slots=True)
class Relay:
    """A peer's SMTP port, and recipients there.

    Attributes:
        name: What tables call it.
        host: Its address.
        port: Its port.
        domain: That of the recipients.
        users: What their local parts begin with: ``user`` for ``user0``, ``user1``...
    """

    name: str
    host: str
    port: int
    domain: str
    users: str

    def __str__(self) -> str:
        return f"{self.name}:{self.host}:{self.port}:{self.users}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said.

    Attributes:
        names: The subjects.
        small: Whether to do as little as shows that it works.
        messages: How many messages the large mailbox has.
        rounds: How often each IMAP and POP3 command is timed; the best counts.
        mails: How many mails are sent by SMTP.
        seconds: For each rate of the store alone.
        sessions: How many sessions idle.
        kills: How often the server is killed.
        stores: Stores of ours: ``sql``, ``maildir``, ``memory``.
        directory: Where servers and their mail are while they run; None is the system's choice.
        peer_imap: IMAP in clear.
        peer_imaps: IMAP under TLS.
        peer_pop3: POP3 in clear.
        peer_smtp: Where to deliver beside us; mail is counted by ``peer_imap``.
        peer_maildir: The folder of the Maildir of ``peer_imap``'s user.
        peer_postfix: Whether to run a Postfix of the bench's own beside our relay.
        peer_processes: A regular expression for the command lines of the IMAP peer.
    """

    names: tuple[str, ...]
    small: bool
    messages: int
    rounds: int
    mails: int
    seconds: float
    sessions: int
    kills: int
    stores: tuple[str, ...]
    directory: Path | None
    peer_imap: Login | None
    peer_imaps: Login | None
    peer_pop3: Login | None
    peer_smtp: tuple[Relay, ...]
    peer_maildir: Path | None
    peer_postfix: bool
    peer_processes: str

    def command(self, subject: str) -> str:
        """Tell what makes a subject's tables again."""
        words = ["python -m bench", subject]
        if self.small:
            words.append("--small")
        given = {
            "--peer-imap": self.peer_imap,
            "--peer-imaps": self.peer_imaps,
            "--peer-pop3": self.peer_pop3,
            "--peer-maildir": self.peer_maildir,
        }
        words += [
            f"{option} {given[option]}"
            for option in _PEERS.get(subject, ())
            if given.get(option) is not None
        ]
        if "--peer-smtp" in _PEERS.get(subject, ()):
            words += [f"--peer-smtp {relay}" for relay in self.peer_smtp]
        if "--peer-postfix" in _PEERS.get(subject, ()) and self.peer_postfix:
            words.append("--peer-postfix")
        return " ".join(words)


_PEERS = {
    "imap": ("--peer-imap",),
    "trips": ("--peer-imap", "--peer-imaps"),
    "arrival": ("--peer-imap", "--peer-maildir"),
    "pop3": ("--peer-imap", "--peer-pop3"),
    "smtp": ("--peer-imap", "--peer-smtp"),
    "idle": ("--peer-imap", "--peer-imaps"),
    "watched": ("--peer-imap", "--peer-smtp"),
    "relay": ("--peer-postfix",),
}
"""Which peers the subjects are beside."""


def _login(text: str) -> Login:
    host, port, user, password = text.split(":", 3)
    return Login(host, int(port), user, password)


def _relay(text: str) -> Relay:
    name, host, port, recipients = text.split(":", 3)
    users, _, domain = recipients.partition("@")
    return Relay(name, host, int(port), domain, users)


def read_options(words: Sequence[str]) -> Options:
    """Read a command line."""
    parser = argparse.ArgumentParser(
        "python -m bench",
        description="Times mailplat, beside other servers where they are given, and prints tables. "
        "Compare figures of one run only: the ratios are what counts.",
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="SUBJECT", help=f"{', '.join(SUBJECTS)}; all if none is given")
    add("--small", action="store_true", help="as little as shows that it works; under a minute")
    add("--messages", type=int, help="size of the large mailbox (20000)")
    add("--rounds", type=int, help="timings of each command, the best counts (5)")
    add("--mails", type=int, help="mails sent by SMTP for each figure (5000)")
    add("--seconds", type=float, help="for each rate of the store alone (2)")
    add("--sessions", type=int, help="sessions that idle (2000)")
    add("--kills", type=int, help="how often each server is killed at work (200)")
    add("--stores", default="sql,maildir", help="stores of ours, with commas between (%(default)s)")
    add("--directory", type=Path, help="where our servers keep their files, on the disk measured")
    where = "HOST:PORT:USER:PASSWORD"
    add("--peer-imap", type=_login, metavar=where, help="an IMAP server, in clear")
    add("--peer-imaps", type=_login, metavar=where, help="the same under TLS")
    add("--peer-pop3", type=_login, metavar=where, help="a POP3 server, in clear")
    add(
        "--peer-smtp",
        type=_relay,
        action="append",
        default=[],
        metavar="NAME:HOST:PORT:USERS@DOMAIN",
        help="an SMTP server that delivers to USERS0@DOMAIN, USERS1@DOMAIN... who are the users "
        "of the IMAP server; may be repeated",
    )
    add("--peer-maildir", type=Path, help="the Maildir of the IMAP server's user")
    add("--peer-postfix", action="store_true", help="run a Postfix beside our relay; as root")
    add(
        "--peer-processes",
        default=r"^dovecot|imap-login|/imap$|^imap|dovecot/",
        metavar="REGEX",
        help="command lines of the IMAP server's processes (%(default)s)",
    )
    got = parser.parse_args(words)
    for name in got.names:
        if name not in SUBJECTS:
            parser.error(f"there is no subject {name}; there are {', '.join(SUBJECTS)}")

    def number(said: float | None, small: float, usual: float) -> float:
        return said if said is not None else small if got.small else usual

    return Options(
        names=tuple(got.names) or SUBJECTS,
        small=got.small,
        messages=int(number(got.messages, 300, 20_000)),
        rounds=int(number(got.rounds, 1, 5)),
        mails=int(number(got.mails, 100, 5000)),
        seconds=number(got.seconds, 0.1, 2.0),
        sessions=int(number(got.sessions, 20, 2000)),
        kills=int(number(got.kills, 1, 200)),
        stores=tuple(got.stores.split(",")),
        directory=got.directory,
        peer_imap=got.peer_imap,
        peer_imaps=got.peer_imaps,
        peer_pop3=got.peer_pop3,
        peer_smtp=tuple(got.peer_smtp),
        peer_maildir=got.peer_maildir,
        peer_postfix=got.peer_postfix,
        peer_processes=got.peer_processes,
    )
