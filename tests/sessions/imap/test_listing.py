"""LIST in all its forms, subscriptions, STATUS, quotas."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from mailplat.model.mailbox import QuotaLimit
from mailplat.testing.mails import mail

TREE = """
C: m1 CREATE work/2024/may
S: m1 OK ...
C: m2 CREATE work/2024
S: m2 OK ...
C: m3 CREATE arch (USE (\\Archive))
S: m3 OK ...
C: m4 CREATE arch/old
S: m4 OK ...
C: m5 SUBSCRIBE work/2024/may
S: m5 OK ...
C: m6 SUBSCRIBE gone/below
S: m6 OK ...
C: m7 UNSUBSCRIBE Sent
S: m7 OK ...
"""

DIALOGUES = {
    "plain": """
C: a LIST "" "*"
S: * LIST (\\HasNoChildren) "/" INBOX
S: * LIST (\\HasNoChildren \\Sent) "/" Sent
S: * LIST (\\HasChildren \\Archive) "/" arch
S: * LIST (\\HasNoChildren) "/" arch/old
S: * LIST (\\NonExistent \\Noselect \\HasChildren) "/" work
S: * LIST (\\HasChildren) "/" work/2024
S: * LIST (\\HasNoChildren) "/" work/2024/may
S: a OK LIST completed
C: b LIST work/ %
S: * LIST (\\HasChildren) "/" work/2024
S: b OK LIST completed
C: c LIST "" work/%/may
S: * LIST (\\HasNoChildren) "/" work/2024/may
S: c OK LIST completed
""",
    "selection": """
C: a LIST (SUBSCRIBED) "" "*"
S: * LIST (\\HasNoChildren \\Subscribed) "/" INBOX
S: * LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" gone/below
S: * LIST (\\HasNoChildren \\Subscribed) "/" work/2024/may
S: a OK LIST completed
C: b LIST (SPECIAL-USE) "" "*"
S: * LIST (\\HasNoChildren \\Sent) "/" Sent
S: * LIST (\\HasChildren \\Archive) "/" arch
S: b OK LIST completed
C: c LIST (REMOTE) "" "arch"
S: * LIST (\\HasChildren \\Archive) "/" arch
S: c OK LIST completed
C: d LIST () "" "arch"
S: * LIST (\\HasChildren \\Archive) "/" arch
S: d OK LIST completed
C: e LIST (SUBSCRIBED SPECIAL-USE) "" "*"
S: e OK LIST completed
C: f LIST (RECURSIVEMATCH) "" "*"
S: f BAD ...
""",
    "recursive match": """
C: a LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"
S: * LIST (\\HasNoChildren \\Subscribed) "/" INBOX
S: * LIST (\\NonExistent \\HasNoChildren) "/" gone ("CHILDINFO" ("SUBSCRIBED"))
S: * LIST (\\NonExistent \\HasChildren) "/" work ("CHILDINFO" ("SUBSCRIBED"))
S: a OK LIST completed
C: b LIST (SUBSCRIBED RECURSIVEMATCH) "" (work/2024 work/2024/may)
S: * LIST (\\HasNoChildren \\Subscribed) "/" work/2024/may
S: b OK LIST completed
C: c SUBSCRIBE work/2024
S: c OK ...
C: d LIST (SUBSCRIBED RECURSIVEMATCH) "" "work/%"
S: * LIST (\\HasChildren \\Subscribed) "/" work/2024 ("CHILDINFO" ("SUBSCRIBED"))
S: d OK LIST completed
C: e CREATE x/uses (USE (\\Junk))
S: e OK ...
C: f LIST (SPECIAL-USE RECURSIVEMATCH) "" "%"
S: * LIST (\\HasNoChildren \\Sent) "/" Sent
S: * LIST (\\HasChildren \\Archive) "/" arch
S: * LIST (\\NonExistent \\HasChildren) "/" x ("CHILDINFO" ("SPECIAL-USE"))
S: f OK LIST completed
""",
    "returns": """
C: a LIST "" (INBOX work/2024) RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)
S: * LIST (\\HasNoChildren \\Subscribed) "/" INBOX
S: * LIST (\\HasChildren) "/" work/2024
S: a OK LIST completed
C: b LIST "" "work%" RETURN (STATUS (MESSAGES UIDNEXT))
S: * LIST (\\NonExistent \\HasChildren) "/" work
S: b OK LIST completed
C: c LIST "" (INBOX Sent) RETURN (STATUS (MESSAGES))
S: * LIST (\\HasNoChildren) "/" INBOX
S: * LIST (\\HasNoChildren \\Sent) "/" Sent
S: * STATUS INBOX (MESSAGES 1)
S: * STATUS Sent (MESSAGES 0)
S: c OK LIST completed
C: d LIST (SUBSCRIBED) "" "" RETURN (CHILDREN)
S: d OK LIST completed
C: e LIST "" "" RETURN (XYZ)
S: e BAD ...
""",
    "LSUB": """
C: a LSUB "" "*"
S: * LSUB () "/" INBOX
S: * LSUB () "/" gone/below
S: * LSUB () "/" work/2024/may
S: a OK LSUB completed
C: b LSUB "" "%"
S: * LSUB () "/" INBOX
S: * LSUB (\\Noselect) "/" gone
S: * LSUB (\\Noselect) "/" work
S: b OK LSUB completed
C: c LSUB "" "work/%"
S: * LSUB (\\Noselect) "/" work/2024
S: c OK LSUB completed
C: d LSUB work/2024/ "*"
S: * LSUB () "/" work/2024/may
S: d OK LSUB completed
""",
    "names": """
C: a CREATE work/
S: a OK ...
C: b CREATE work
S: b NO [ALREADYEXISTS] ...
C: c CREATE a//b
S: c NO [CANNOT] ...
C: d CREATE "../x"
S: d NO [CANNOT] ...
C: e CREATE other (USE (\\Archive))
S: e NO [ALREADYEXISTS] ...
C: f CREATE other (USE (\\Nonsense))
S: f NO [USEATTR] ...
C: g DELETE nothing
S: g NO [NONEXISTENT] ...
C: h DELETE gone
S: h NO [NONEXISTENT] ...
C: i DELETE work/2024
S: i OK ...
C: j DELETE work/2024
S: j NO [CANNOT] Only mailboxes below it exist
C: k RENAME work work/2024/x
S: k NO [CANNOT] ...
C: l RENAME work/2024/may INBOX
S: l NO [ALREADYEXISTS] ...
C: m RENAME work job
S: m OK ...
C: n LIST "" "job*"
S: * LIST (\\HasChildren) "/" job
S: * LIST (\\NonExistent \\Noselect \\HasChildren) "/" job/2024
S: * LIST (\\HasNoChildren) "/" job/2024/may
S: n OK LIST completed
C: o SELECT nothing
S: o NO [NONEXISTENT] ...
C: p EXAMINE job/2024
S: p NO [NONEXISTENT] ...
C: q STATUS nothing (MESSAGES)
S: q NO [NONEXISTENT] ...
C: r GETQUOTAROOT nothing
S: r NO [NONEXISTENT] ...
C: s UNSUBSCRIBE nothing
S: s OK ...
""",
    "STATUS": """
C: a STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE)
S: * STATUS INBOX (MESSAGES 1 RECENT 1 UIDNEXT 2 UIDVALIDITY ... UNSEEN 1 DELETED 0 SIZE ...)
S: a OK STATUS completed
C: b STATUS INBOX (APPENDLIMIT MAILBOXID HIGHESTMODSEQ)
S: * STATUS INBOX (APPENDLIMIT 52428800 MAILBOXID (...) HIGHESTMODSEQ ...)
S: b OK STATUS completed
C: b STATUS INBOX (DELETED DELETED-STORAGE)
S: * STATUS INBOX (DELETED 0 DELETED-STORAGE 0)
S: b OK STATUS completed
C: c SELECT INBOX
S> c OK ...
C: c STORE 1 +FLAGS.SILENT \\Deleted
S: * 1 FETCH (UID 1 MODSEQ (...))
S: c OK ...
C: c STATUS INBOX (DELETED-STORAGE SIZE)
S: * STATUS INBOX (DELETED-STORAGE 178 SIZE 178)
S: c OK STATUS completed
C: d STATUS INBOX (MESSAGES)
S: * STATUS INBOX (MESSAGES 1)
S: d OK STATUS completed
C: e SELECT nothing
S: * OK [CLOSED] ...
S: e NO [NONEXISTENT] ...
C: f FETCH 1 FLAGS
S: f BAD ...
""",
    "quotas": """
C: a GETQUOTAROOT INBOX
S: * QUOTAROOT INBOX ""
S: * QUOTA "" (STORAGE 1 3 MESSAGE 1 10)
S: a OK GETQUOTAROOT completed
C: b GETQUOTA ""
S: * QUOTA "" (STORAGE 1 3 MESSAGE 1 10)
S: b OK GETQUOTA completed
C: c GETQUOTA other
S: c NO [NONEXISTENT] ...
C: d SETQUOTA "" (STORAGE 99999)
S: d NO [NOPERM] ...
""",
}


@pytest.mark.parametrize("name", DIALOGUES)
@pytest_twisted.ensureDeferred
async def test_dialogue(server: Any, name: str) -> None:
    """Names, attributes and counts."""
    await server.put(mail(1))
    home = await server.store.open_home("alice@example.org")
    await home.set_limit(QuotaLimit(storage=3072, messages=10))
    await server.play(TREE + DIALOGUES[name])
