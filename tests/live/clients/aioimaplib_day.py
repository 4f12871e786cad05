"""A day of aioimaplib: its answers as JSON on standard output.

Run as ``python aioimaplib_day.py PORT USER PASSWORD CERTIFICATE``.  It says "idle" when it waits
for mail.
"""

import asyncio
import json
import re
import ssl
import sys
from typing import Any

import aioimaplib


def ok(answer: Any) -> list[bytes]:
    """Give the lines of an answer that has to be OK."""
    assert answer.result == "OK", answer
    return [bytes(line) for line in answer.lines]


async def spend(port: int, user: str, password: str, certificate: str) -> dict[str, Any]:
    """Log in, list, read, search, flag, copy, move, append, wait in IDLE."""
    trust = ssl.create_default_context(cafile=certificate)
    imap = aioimaplib.IMAP4_SSL("127.0.0.1", port, timeout=20, ssl_context=trust)
    await imap.wait_hello_from_server()
    ok(await imap.login(user, password))
    ok(await imap.id(name="day"))
    seen: dict[str, Any] = {"capable": [imap.has_capability(one) for one in ("MOVE", "ENABLE")]}
    listed = ok(await imap.list('""', "*"))
    seen["listed"] = sorted(line.split()[-1].decode() for line in listed if b'"/"' in line)
    ok(await imap.create("Kept"))
    ok(await imap.subscribe("Kept"))
    seen["exists"] = aioimaplib.extract_exists(await imap.select("INBOX"))
    seen["body"] = ok(await imap.fetch("1", "(UID FLAGS BODY.PEEK[TEXT])"))[1].decode()
    seen["found"] = ok(await imap.uid_search("SUBJECT", "two"))[0].decode()
    ok(await imap.uid("store", "2", "+FLAGS", r"(\Flagged)"))
    seen["flagged"] = ok(await imap.search("FLAGGED"))[0].decode()
    ok(await imap.copy("1", "Kept"))
    ok(await imap.uid("move", "3", "Kept"))
    ok(await imap.append(b"Subject: four\r\n\r\nfour\r\n", "Kept", r"\Draft"))
    status = ok(await imap.status("Kept", "(MESSAGES UIDNEXT)"))
    seen["status"] = re.sub(r".*\(", "(", status[0].decode())
    ok(await imap.store("1", "+FLAGS.SILENT", r"(\Deleted)"))
    seen["expunged"] = ok(await imap.expunge())[0].decode()
    ended = await imap.idle_start(timeout=30)
    sys.stdout.write("idle\n")
    sys.stdout.flush()
    pushed: list[bytes] = []
    while not any(b"EXISTS" in line for line in pushed):
        pushed += await imap.wait_server_push(20)
    seen["pushed"] = [line.decode() for line in pushed if b"EXISTS" in line]
    imap.idle_done()
    await asyncio.wait_for(ended, 20)
    ok(await imap.close())
    ok(await imap.logout())
    return seen


if __name__ == "__main__":
    _, number, name, secret, file = sys.argv
    sys.stdout.write(json.dumps(asyncio.run(spend(int(number), name, secret, file))))
