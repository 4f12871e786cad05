"""SEARCH, SORT and THREAD: what is found, and how it is told."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from mailplat.sessions.imap import search
from mailplat.testing.mails import NOON

DAY = 86400

MAILS = [
    # (flags, INTERNALDATE, message)
    (
        ["\\Seen"],
        NOON,
        b"From: Zoe <anna@example.org>\r\nTo: =?utf-8?q?=C3=84rger?= <x@example.org>\r\n"
        b"Cc: list@example.org\r\nSubject: Plan\r\nMessage-ID: <1@x>\r\n"
        b"Date: Thu, 01 Jan 2026 23:30:00 -0800\r\n\r\nthe quick brown fox\r\n",
    ),
    (
        ["\\Flagged", "$Work"],
        NOON + DAY,
        b"From: bob (he) @ (home) example.org\r\nTo: y@example.org, z@example.org\r\n"
        b"Subject: Re: plan\r\nMessage-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n"
        b"Date: Sat, 03 Jan 2026 12:00:00 +0000\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        b"Z3LDvMOfZQ==\r\n",
    ),
    (
        [],
        NOON - DAY,
        b"From: Carl <anna@example.org>\r\nSubject: =?iso-8859-1?q?K=E4se?=\r\n"
        b"Message-ID: <3@x>\r\nX-Spam: high\r\n\r\n" + b"long " * 100 + b"\r\n",
    ),
    (
        ["\\Answered"],
        NOON + 2 * DAY,
        b"From: dave@example.org\r\nSubject: plan\r\nMessage-ID: <4@x>\r\n"
        b"Date: Fri, 02 Jan 2026 12:00:00 +0000\r\n\r\nfourth\r\n",
    ),
]

FOUND = {
    "ALL": "1 2 3 4",
    "SEEN": "1",
    "UNSEEN": "2 3 4",
    "KEYWORD $work": "2",
    "UNKEYWORD $WORK": "1 3 4",
    "KEYWORD nobody": "",
    "NEW": "2 3 4",
    "OLD": "",
    "RECENT": "1 2 3 4",
    "2:3": "2 3",
    "2:999": "2 3 4",
    "999": "",
    "*": "4",
    "NOT 2": "1 3 4",
    "UID 2,4": "2 4",
    "OR SEEN FLAGGED": "1 2",
    "OR (SEEN SUBJECT plan) OR FLAGGED ANSWERED": "1 2 4",
    "NOT (UNSEEN SUBJECT plan)": "1 3",
    "BEFORE 1-Jan-2026": "3",
    "ON 1-Jan-2026": "1",
    "SINCE 2-Jan-2026": "2 4",
    "SENTON 1-Jan-2026": "1",
    "SENTBEFORE 3-Jan-2026": "1 4",
    "SENTSINCE 2-Jan-2026": "2 4",
    "LARGER 500": "3",
    "SMALLER 150": "4",
    'FROM "anna"': "1 3",
    "FROM bob@example.org": "2",
    'FROM "Zoe <anna"': "1",
    "TO z@example.org": "2",
    "CC list": "1",
    "BCC list": "",
    "SUBJECT PLAN": "1 2 4",
    "HEADER X-Spam high": "3",
    'HEADER X-Spam ""': "3",
    "HEADER In-Reply-To <1@x>": "2",
    'BODY "QUICK Brown"': "1",
    "BODY anna": "",
    "TEXT anna": "1 3",
    "SUBJECT plan BODY fourth": "4",
    "YOUNGER 86400": "1 2 3 4",
    "OLDER 1": "",
    "SAVEDSINCE 1-Jan-2020": "1 2 3 4",
    "SAVEDATESUPPORTED": "1 2 3 4",
    "THREADID nothing": "",
    "EMAILID nothing": "",
    "CHARSET US-ASCII SUBJECT plan": "1 2 4",
}

DIALOGUES = {
    "charsets": """
C: a SEARCH CHARSET UTF-8 BODY {7}
S: + OK
C: grüße
S: * SEARCH 2
S: a OK SEARCH completed
C: b SEARCH SUBJECT {5+}
C: KÄSE
S: * SEARCH 3
S: b OK SEARCH completed
C: c SEARCH CHARSET KLINGON ALL
S: c NO [BADCHARSET (US-ASCII UTF-8)] ...
C: d SEARCH CHARSET US-ASCII SUBJECT {5+}
C: käse
S: d BAD ...
C: e SEARCH FUZZY ALL
S: e BAD ...
C: f SEARCH SUBJECT
S: f BAD ...
""",
    "results": """
C: a SEARCH RETURN () ALL
S: * ESEARCH (TAG "a") ALL 1:4
S: a OK SEARCH completed
C: b UID SEARCH RETURN (MIN MAX COUNT) SUBJECT plan
S: * ESEARCH (TAG "b") UID MIN 1 MAX 4 COUNT 3
S: b OK UID SEARCH completed
C: c SEARCH RETURN (MIN COUNT ALL) DELETED
S: * ESEARCH (TAG "c") COUNT 0
S: c OK SEARCH completed
C: d SEARCH RETURN (PARTIAL 1:2 COUNT) ALL
S: * ESEARCH (TAG "d") COUNT 4 PARTIAL (1:2 1:2)
S: d OK SEARCH completed
C: e UID SEARCH RETURN (PARTIAL -1:-3) ALL
S: * ESEARCH (TAG "e") UID PARTIAL (-1:-3 2:4)
S: e OK UID SEARCH completed
C: f SEARCH RETURN (PARTIAL 9:12) ALL
S: * ESEARCH (TAG "f") PARTIAL (9:12 NIL)
S: f OK SEARCH completed
C: g SEARCH RETURN (PARTIAL 1:2 ALL) ALL
S: g BAD ...
C: h UID FETCH 1:* (UID) (PARTIAL 2:3)
S: * 2 FETCH (UID 2)
S: * 3 FETCH (UID 3)
S: h OK UID FETCH completed
""",
    "the saved result": """
C: a SEARCH $
S: * SEARCH
S: a OK SEARCH completed
C: b FETCH $ UID
S: b OK FETCH completed
C: c SEARCH RETURN (SAVE) SUBJECT plan
S: c OK SEARCH completed
C: d FETCH $ UID
S: * 1 FETCH (UID 1)
S: * 2 FETCH (UID 2)
S: * 4 FETCH (UID 4)
S: d OK FETCH completed
C: e UID SEARCH $ FLAGGED
S: * SEARCH 2
S: e OK UID SEARCH completed
C: f SEARCH RETURN (SAVE MAX) SUBJECT plan
S: * ESEARCH (TAG "f") MAX 4
S: f OK SEARCH completed
C: f SEARCH RETURN (SAVE PARTIAL 2:2) ALL
S: * ESEARCH (TAG "f") PARTIAL (2:2 2)
S: f OK SEARCH completed
C: f SEARCH $
S: * SEARCH 2
S: f OK SEARCH completed
C: f SEARCH RETURN (SAVE PARTIAL 2:2 MIN MAX) ALL
S: * ESEARCH (TAG "f") MIN 1 MAX 4 PARTIAL (2:2 2)
S: f OK SEARCH completed
C: f SEARCH $
S: * SEARCH 1 2 4
S: f OK SEARCH completed
C: f SEARCH RETURN (SAVE PARTIAL 2:2 COUNT) ALL
S: * ESEARCH (TAG "f") COUNT 4 PARTIAL (2:2 2)
S: f OK SEARCH completed
C: f SEARCH $
S: * SEARCH 1 2 3 4
S: f OK SEARCH completed
C: f SEARCH RETURN (SAVE MAX) SUBJECT plan
S: * ESEARCH (TAG "f") MAX 4
S: f OK SEARCH completed
C: g SEARCH CHARSET KLINGON ALL
S: g NO ...
C: h SEARCH $
S: * SEARCH 4
S: h OK SEARCH completed
C: i SEARCH RETURN (SAVE) CHARSET KLINGON $
S: i NO [BADCHARSET (US-ASCII UTF-8)] ...
C: i SEARCH $
S: * SEARCH
S: i OK SEARCH completed
C: i SEARCH RETURN (SAVE MAX) SUBJECT plan
S: * ESEARCH (TAG "i") MAX 4
S: i OK SEARCH completed
C: i SEARCH RETURN (SAVE) NONSENSE
S: i BAD ...
C: i SORT RETURN (SAVE) (DATE) KLINGON ALL
S: i NO [BADCHARSET ...
C: i SEARCH $
S: * SEARCH
S: i OK SEARCH completed
C: i SEARCH RETURN (SAVE MAX) SUBJECT plan
S: * ESEARCH (TAG "i") MAX 4
S: i OK SEARCH completed
C: i STORE $ +FLAGS.SILENT \\Deleted
S: i OK STORE completed
C: j UID EXPUNGE $
S: * 4 EXPUNGE
S: j OK UID EXPUNGE completed
C: k SEARCH RETURN (COUNT) $
S: * ESEARCH (TAG "k") COUNT 0
S: k OK SEARCH completed
C: l UID SORT RETURN (SAVE) (REVERSE SIZE) UTF-8 ALL
S: l OK UID SORT completed
C: m COPY $ Sent
S: m OK [COPYUID ... 1:3 1:3] COPY completed
""",
    "sorted": """
C: a SORT (ARRIVAL) UTF-8 ALL
S: * SORT 3 1 2 4
S: a OK SORT completed
C: b SORT (REVERSE ARRIVAL) UTF-8 ALL
S: * SORT 4 2 1 3
S: b OK SORT completed
C: c SORT (DATE) UTF-8 ALL
S: * SORT 3 1 4 2
S: c OK SORT completed
C: d SORT (FROM REVERSE SIZE) UTF-8 ALL
S: * SORT 3 1 2 4
S: d OK SORT completed
C: e SORT (DISPLAYFROM) UTF-8 ALL
S: * SORT 3 4 2 1
S: e OK SORT completed
C: f SORT (DISPLAYTO) UTF-8 ALL
S: * SORT 3 4 1 2
S: f OK SORT completed
C: g UID SORT (SUBJECT DATE) UTF-8 NOT CC list
S: * SORT 3 4 2
S: g OK UID SORT completed
C: h SORT (CC TO) UTF-8 ALL
S: * SORT 3 4 2 1
S: h OK SORT completed
C: i SORT RETURN (ALL MIN MAX COUNT) (REVERSE ARRIVAL) UTF-8 ALL
S: * ESEARCH (TAG "i") MIN 4 MAX 3 COUNT 4 ALL 4,2,1,3
S: i OK SORT completed
C: j SORT RETURN (PARTIAL 2:3) (ARRIVAL) UTF-8 ALL
S: * ESEARCH (TAG "j") PARTIAL (2:3 1:2)
S: j OK SORT completed
C: k SORT (ARRIVAL) UTF-8 DELETED
S: * SORT
S: k OK SORT completed
C: l SORT (NONSENSE) UTF-8 ALL
S: l BAD ...
C: m SORT (DATE) KLINGON ALL
S: m NO [BADCHARSET ...
""",
    "threads": """
C: a THREAD REFERENCES UTF-8 ALL
S: * THREAD (3)((1 2)(4))
S: a OK THREAD completed
C: b UID THREAD REFS UTF-8 ALL
S: * THREAD (3)(1 2)(4)
S: b OK UID THREAD completed
C: c THREAD ORDEREDSUBJECT US-ASCII ALL
S: * THREAD (3)(1 (4)(2))
S: c OK THREAD completed
C: d THREAD REFERENCES UTF-8 DELETED
S: * THREAD
S: d OK THREAD completed
C: e THREAD NONSENSE UTF-8 ALL
S: e BAD ...
""",
}


async def fill(server: Any) -> None:
    """Put the mails into Alice's INBOX."""
    for flags, date, message in MAILS:
        await server.put(message, flags=flags, date=date)


@pytest_twisted.ensureDeferred
async def test_keys(server: Any) -> None:
    """Each key finds what it is for."""
    await fill(server)
    dialogue = ["C: a SELECT INBOX", "S> a OK ..."]
    for key, numbers in FOUND.items():
        answer = f"S: * SEARCH {numbers}".rstrip()
        dialogue += [f"C: b SEARCH {key}", answer, "S: b OK SEARCH completed"]
    await server.play("\n".join(dialogue))


@pytest.mark.parametrize("name", DIALOGUES)
@pytest_twisted.ensureDeferred
async def test_dialogue(server: Any, name: str) -> None:
    """Results come in the form asked for."""
    await fill(server)
    await server.play("C: s SELECT INBOX\nS> s OK ...\n" + DIALOGUES[name])


@pytest.mark.parametrize("name", ["sorted", "threads"])
@pytest_twisted.ensureDeferred
async def test_in_threads(server: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is worked out in a thread comes to the same."""
    monkeypatch.setattr(search, "_MANY", 1)
    await fill(server)
    await server.play("C: s SELECT INBOX\nS> s OK ...\n" + DIALOGUES[name])
