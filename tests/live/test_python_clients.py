"""smtplib, poplib and imaplib against a running server: mail comes, is read, changed, deleted."""

from __future__ import annotations

import imaplib
import poplib
import re
import smtplib
import ssl
import time
from typing import Any

import pytest

from mailplat.testing.twistd import TwistdServer, until

BODY = b"\r\n\r\nfirst\r\n.dot\r\n..\r\nlast\r\n"
MESSAGE = b"From: someone@elsewhere.example\r\nSubject: %b" + BODY


def ok(answer: tuple[str, Any]) -> list[Any]:
    """Give the data of an IMAP answer that has to be OK."""
    kind, data = answer
    assert kind == "OK", answer
    return list(data)


def uids(imap: imaplib.IMAP4, *keys: str) -> list[int]:
    """Search, by UID."""
    (found,) = ok(imap.uid("SEARCH", *keys))
    assert isinstance(found, bytes)
    return [int(uid) for uid in found.split()]


# Sending.


@pytest.mark.parametrize("name", ["submission", "submissions"])
def test_submission_sends_after_log_in(
    server: TwistdServer, user: str, other_user: str, name: str
) -> None:
    """Who logged in sends mail, and every recipient finds it, with what a mail must have."""
    with server.smtp(name, user) as smtp:
        assert not smtp.sendmail(user, [user, other_user], MESSAGE % b"to both")
    for one in (user, other_user):
        (body,) = server.bodies(one)
        assert body.startswith(b"Return-Path: <%b>\r\nReceived: from " % user.encode())
        header, _, rest = body.partition(b"\r\nSubject: to both\r\n")
        assert header.endswith(b"\r\nFrom: someone@elsewhere.example")
        assert re.fullmatch(rb"Date: [^\r]+\r\nMessage-ID: <[^\r]+>" + re.escape(BODY), rest)
        assert (b"with ESMTPSA" in body) is True


def test_port_25_takes_mail_for_us_alone(server: TwistdServer, user: str) -> None:
    """Local recipients are known one by one, and nobody relays (RFC 5321 §3.6.2)."""
    with server.smtp() as smtp:
        smtp.ehlo()
        assert smtp.mail("a@elsewhere.example")[0] == 250
        code, words = smtp.rcpt("nobody@example.org")
        assert (code, words[:5]) == (550, b"5.1.1")
        code, words = smtp.rcpt("someone@third.example")
        assert (code, words[:5]) == (550, b"5.7.1")
        assert smtp.rcpt(user)[0] == 250
        assert smtp.data(MESSAGE % b"in spite of the others")[0] == 250
    assert len(server.bodies(user)) == 1


@pytest.mark.parametrize("name", ["smtp", "submission"])
def test_auth_is_refused_in_clear(server: TwistdServer, user: str, name: str) -> None:
    """No password is asked for, nor taken, before TLS; no mail either on 587."""
    with server.smtp(name) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("auth")
        assert smtp.has_extn("starttls")
        code, words = smtp.docmd("AUTH", "PLAIN AGEAYg==")
        assert code in (523, 538, 530, 504), words
        if name == "submission":
            assert smtp.mail(user)[0] == 530
        smtp.starttls(context=server.trust)
        smtp.ehlo()
        assert "PLAIN" in smtp.esmtp_features["auth"]


def test_submission_needs_a_log_in(server: TwistdServer, user: str) -> None:
    """TLS alone lets nobody send."""
    with server.smtp("submissions") as smtp:
        smtp.ehlo()
        code, words = smtp.mail(user)
        assert (code, words[:5]) == (530, b"5.7.0")


def test_a_wrong_password_is_refused_everywhere(server: TwistdServer, user: str) -> None:
    """A wrong password gets 535, -ERR and NO, and the right one still works."""
    with (
        server.smtp("submissions") as smtp,
        pytest.raises(smtplib.SMTPAuthenticationError) as refused,
    ):
        smtp.login(user, "wrong")
    assert refused.value.smtp_code == 535
    with server.pop3("pop3s") as pop3:
        pop3.user(user)
        with pytest.raises(poplib.error_proto, match=r"-ERR \[AUTH\]"):
            pop3.pass_("wrong")
    with server.imap("imaps") as imap:
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            imap.login(user, "wrong")
        imap.login(user, server.installation.password)


def test_too_big_a_message_is_refused(server: TwistdServer, user: str) -> None:
    """At MAIL where the size is told, else after the message, which is drained (RFC 1870 §6)."""
    limit = 4 * 1024 * 1024
    with server.smtp() as smtp:
        smtp.ehlo()
        assert smtp.esmtp_features["size"] == str(limit)
        code, words = smtp.mail("a@elsewhere.example", [f"SIZE={limit + 1}"])
        assert (code, words[:5]) == (552, b"5.3.4")
        assert smtp.mail("a@elsewhere.example")[0] == 250
        assert smtp.rcpt(user)[0] == 250
        code, words = smtp.data(b"Subject: big\r\n\r\n" + b"x" * 78 * 1024 + b"\r\n" * (limit // 2))
        assert (code, words[:5]) == (552, b"5.3.4")
        smtp.sendmail("a@elsewhere.example", [user], MESSAGE % b"small")
    assert len(server.bodies(user)) == 1


def test_eight_bit_text_and_long_lists_of_recipients(
    server: TwistdServer, user: str, other_user: str
) -> None:
    """Bytes above 127 pass as they are, and who is named twice gets one copy."""
    message = "Subject: grüße\r\n\r\nüber alles: 日本語\r\n".encode()
    with server.smtp() as smtp:
        smtp.ehlo()
        assert smtp.has_extn("8bitmime")
        assert not smtp.sendmail(
            "a@elsewhere.example", [user, other_user, user], message, ["BODY=8BITMIME"]
        )
    assert [body.endswith(message) for body in server.bodies(user)] == [True]


def test_a_full_account_takes_no_more(server: TwistdServer) -> None:
    """452 and OVERQUOTA until something is deleted, and nothing is stored (RFC 5321 §4.2.2)."""
    small = "small@example.org"
    with server.smtp() as smtp:
        smtp.ehlo()
        assert smtp.mail("a@elsewhere.example", ["SIZE=200000"])[0] == 250
        code, words = smtp.rcpt(small)
        assert (code, words[:5]) == (452, b"4.2.2")
        smtp.rset()
        assert smtp.mail("a@elsewhere.example")[0] == 250  # says no size
        assert smtp.rcpt(small)[0] == 250
        code, words = smtp.data(b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" * 100_000)
        assert (code, words[:5]) == (452, b"4.2.2")
        smtp.sendmail("a@elsewhere.example", [small], MESSAGE % b"the one")
        assert smtp.mail("a@elsewhere.example")[0] == 250
        code, words = smtp.rcpt(small)
        assert (code, words[:5]) == (452, b"4.2.2")
    with server.imap("imaps", small) as imap:
        assert uids(imap, "ALL") == [1]
        kind, said = imap.append("INBOX", "", "", MESSAGE % b"another")
        assert kind == "NO"
        assert b"OVERQUOTA" in said[0]
        ok(imap.uid("STORE", "1", "+FLAGS", r"(\Deleted)"))
        ok(imap.expunge())
        ok(imap.append("INBOX", "", "", MESSAGE % b"another"))


# POP3.


@pytest.mark.parametrize("name", ["pop3", "pop3s"])
def test_pop3_reads_and_deletes(server: TwistdServer, user: str, name: str) -> None:
    """What is deleted is gone after QUIT and not before, and the rest keeps its names."""
    for subject in (b"one", b"two", b"three"):
        server.send(user, MESSAGE % subject)
    with server.pop3(name, user) as pop3:
        count, size = pop3.stat()
        _, listed, _ = pop3.list()
        _, names, _ = pop3.uidl()
        assert count == 3
        assert sum(int(line.split()[1]) for line in listed) == size
        _, lines, _ = pop3.retr(2)
        assert lines[-6:] == [b"Subject: two", b"", b"first", b".dot", b"..", b"last"]
        _, lines, _ = pop3.top(3, 1)
        assert lines[-3:] == [b"Subject: three", b"", b"first"]
        pop3.dele(2)
        pop3.rset()
        pop3.dele(1)
        assert pop3.stat()[0] == 2
    with server.pop3(name, user) as pop3:
        assert pop3.stat()[0] == 2
        assert [line.split()[1] for line in pop3.uidl()[1]] == [
            line.split()[1] for line in names[1:]
        ]


def test_pop3_forgets_deletions_without_quit(server: TwistdServer, user: str) -> None:
    """A connection that breaks deletes nothing (RFC 1939 §6), and frees the maildrop."""
    server.send(user, MESSAGE % b"stays")
    client = poplib.POP3_SSL(
        "127.0.0.1", server.installation.port("pop3s"), timeout=20, context=server.trust
    )
    client.user(user)
    client.pass_(server.installation.password)
    client.dele(1)
    client.close()

    def there() -> bool:
        try:
            with server.pop3("pop3s", user) as pop3:
                return pop3.stat()[0] == 1
        except poplib.error_proto:  # not free yet
            return False

    until(there)


def test_pop3_locks_the_maildrop(server: TwistdServer, user: str) -> None:
    """Two sessions at once are one too many (RFC 1939 §4)."""
    with server.pop3("pop3", user), server.pop3("pop3s") as second:
        second.user(user)
        with pytest.raises(poplib.error_proto, match="IN-USE"):
            second.pass_(server.installation.password)


def test_pop3_offers_no_password_in_clear(server: TwistdServer, user: str) -> None:
    """USER is refused before STLS."""
    client = poplib.POP3("127.0.0.1", server.installation.port("pop3"), timeout=20)
    try:
        capabilities = client.capa()
        assert "STLS" in capabilities
        assert "USER" not in capabilities
        with pytest.raises(poplib.error_proto):
            client.user(user)
    finally:
        client.close()


# IMAP.


@pytest.mark.parametrize("name", ["imap", "imaps"])
def test_imap_reads_flags_moves_searches_deletes(
    server: TwistdServer, user: str, name: str
) -> None:
    """A day in the life of a mailbox."""
    for subject in (b"one", b"two", b"three"):
        server.send(user, MESSAGE % subject)
    with server.imap(name, user) as imap:
        assert uids(imap, "ALL") == [1, 2, 3]
        assert uids(imap, "SUBJECT", "two") == [2]
        assert uids(imap, "BODY", ".dot", "NOT", "SEEN") == [1, 2, 3]
        (fetched, *_) = ok(imap.fetch("1", "(UID FLAGS BODY[])"))
        assert fetched[1].endswith(MESSAGE % b"one")
        assert uids(imap, "SEEN") == [1]
        (answer,) = ok(imap.uid("STORE", "2", "+FLAGS", r"(\Flagged todo)"))
        assert rb"\Flagged" in answer
        assert uids(imap, "FLAGGED", "KEYWORD", "todo") == [2]
        (partial,) = ok(imap.fetch("2", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)] RFC822.SIZE)"))[:1]
        assert partial[1] == b"Subject: two\r\n\r\n"
        ok(imap.create("Keep/2026"))
        ok(imap.uid("COPY", "1", "Keep/2026"))
        assert imap.uid("COPY", "1", "Nowhere")[0] == "NO"
        (offered,) = ok(imap.capability())
        assert b" MOVE " in offered
        ok(imap.uid("MOVE", "2", "Keep/2026"))
        assert uids(imap, "ALL") == [1, 3]
        ok(imap.uid("STORE", "3", "+FLAGS.SILENT", r"(\Deleted)"))
        ok(imap.expunge())
        assert uids(imap, "ALL") == [1]
        listed = [bytes(line) for line in ok(imap.list()) if isinstance(line, bytes)]
        assert any(line.endswith(b"Keep/2026") for line in listed)
        assert any(rb"\Sent" in line for line in listed)
        ok(imap.select("Keep/2026"))
        assert uids(imap, "FLAGGED") == [2]
        ok(imap.append("Keep/2026", r"(\Seen \Draft)", time.time(), MESSAGE % b"put here"))
        assert uids(imap, "DRAFT") == [3]
        (status,) = ok(imap.status("Keep/2026", "(MESSAGES UNSEEN UIDNEXT)"))
        assert b"MESSAGES 3" in status
        ok(imap.close())
        ok(imap.rename("Keep", "Kept"))
        ok(imap.select("Kept/2026"))
        assert len(uids(imap, "ALL")) == 3
        ok(imap.unselect())
        ok(imap.delete("Kept/2026"))
        assert imap.select("Kept/2026")[0] == "NO"


def test_two_imap_sessions_see_each_other(server: TwistdServer, user: str) -> None:
    """Under IDLE, arrivals, flags and expunges are told at once (RFC 2177)."""
    server.send(user, MESSAGE % b"first")
    with server.imap("imaps", user) as watcher, server.imap("imap", user) as other:
        watcher.send(b"i1 IDLE\r\n")
        assert watcher.readline().startswith(b"+ ")
        server.send(user, MESSAGE % b"second")
        assert read_until(watcher, rb"\* 2 EXISTS")
        ok(other.noop())
        ok(other.store("2", "+FLAGS", r"(\Flagged)"))
        assert read_until(watcher, rb"\* 2 FETCH \(.*\\Flagged")
        ok(other.store("1", "+FLAGS.SILENT", r"(\Deleted)"))
        ok(other.expunge())
        assert read_until(watcher, rb"\* 1 EXPUNGE")
        watcher.send(b"DONE\r\n")
        assert read_until(watcher, rb"i1 OK")
        assert uids(watcher, "ALL") == [2]


def read_until(imap: imaplib.IMAP4, pattern: bytes) -> bool:
    """Read lines until one matches; the socket's time-out bounds it."""
    while not re.match(pattern, line := imap.readline()):
        assert line, "the connection ended"
    return True


def test_imap_refuses_log_in_in_clear(server: TwistdServer, user: str) -> None:
    """LOGINDISABLED is offered and meant (RFC 9051 §6.2.3)."""
    client = imaplib.IMAP4("127.0.0.1", server.installation.port("imap"), timeout=20)
    try:
        assert "LOGINDISABLED" in client.capabilities
        assert not any(name.startswith("AUTH=") for name in client.capabilities)
        with pytest.raises(imaplib.IMAP4.error):
            client.login(user, server.installation.password)
    finally:
        client.logout()


def test_mail_read_by_one_protocol_is_changed_for_the_other(
    server: TwistdServer, user: str
) -> None:
    """What POP3 deletes leaves IMAP, and an IMAP session that watches is told."""
    server.send(user, MESSAGE % b"one")
    server.send(user, MESSAGE % b"two")
    with server.imap("imaps", user) as imap:
        with server.pop3("pop3s", user) as pop3:
            pop3.dele(1)
        ok(imap.noop())
        assert uids(imap, "ALL") == [2]


def test_old_tls_is_refused(server: TwistdServer) -> None:
    """TLS 1.1 is spoken nowhere (RFC 8996)."""
    context = server.trust
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        server.connect("imaps") as wire,
        pytest.raises(ssl.SSLError),
        context.wrap_socket(wire, server_hostname="127.0.0.1"),
    ):
        pass
