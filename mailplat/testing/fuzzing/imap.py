"""IMAP: random clients, and a session that answers anything at all.

Held against: nothing raises; every answer is bounded and well-formed lines; input is never refused
for good while no answer is due; the end of input ends the connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from mailplat.proto.imap.commands.append import Append, AppendData, AppendNext, Replace
from mailplat.proto.imap.commands.event import Aborted, Event
from mailplat.proto.imap.commands.mailboxes import Select
from mailplat.proto.imap.commands.session import (
    Authenticate,
    AuthenticateResponse,
    Enable,
    Idle,
    Login,
)
from mailplat.proto.imap.conversation import ServerConversation
from mailplat.proto.imap.limits import Limits
from mailplat.proto.imap.syntax import State
from mailplat.testing.fuzzing.inputs import Language
from mailplat.testing.fuzzing.running import Target

__all__ = ["IMAP"]

_LIMITS = Limits(
    line_before_login=600,
    line=2000,
    id_line=900,
    authenticate_line=500,
    literal=300,
    literals=8,
    command=3000,
    messages=5,
    message=3000,
    drained_before_login=2000,
    drained=6000,
    block=128,
)

_STATES = (State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED, State.SELECTED)

_LANGUAGE = Language(
    sentences=[
        b"a CAPABILITY\r\n",
        b"a NOOP\r\n",
        b"a LOGOUT\r\n",
        b'a ID ("name" "x" "version" NIL)\r\n',
        b"a ID NIL\r\n",
        b"a STARTTLS\r\n",
        b"a LOGIN alice {6+}\r\nsecret\r\n",
        b"a LOGIN {5}\r\nalice secret\r\n",
        b"a AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n",
        b"a AUTHENTICATE PLAIN\r\nAGFsaWNlAHNlY3JldA==\r\n",
        b"a AUTHENTICATE LOGIN\r\n*\r\n",
        b"a ENABLE CONDSTORE QRESYNC UTF8=ACCEPT IMAP4rev2\r\n",
        b"a SELECT inbox (QRESYNC (67890007 20050715194045000 41:211,214:541 (1,3 2,5)))\r\n",
        b"a EXAMINE {5+}\r\nINBOX (CONDSTORE)\r\n",
        b"a CREATE box/in (USE (\\Drafts \\Junk))\r\n",
        b"a DELETE box\r\na RENAME box &AOQ-box\r\n",
        b"a SUBSCRIBE box\r\na UNSUBSCRIBE box\r\n",
        b'a LIST (SUBSCRIBED RECURSIVEMATCH) "" (% *) RETURN (CHILDREN STATUS (MESSAGES SIZE))\r\n',
        b'a LIST "" %/%\r\na LSUB "" *\r\na XLIST "" *\r\n',
        b"a NAMESPACE\r\n",
        b"a STATUS box (MESSAGES UIDNEXT UNSEEN DELETED SIZE HIGHESTMODSEQ MAILBOXID)\r\n",
        b'a APPEND box (\\Seen Key) "17-Jul-1996 02:44:25 -0700" {5+}\r\nhello {3+}\r\nabc\r\n',
        b"a APPEND box UTF8 (~{5+}\r\nhello)\r\n",
        b"a APPEND box {10}\r\n0123456789\r\n",
        b"a UID REPLACE 3 box (\\Flagged) ~{4+}\r\na\x00b\n\r\n",
        b"a IDLE\r\nDONE\r\n",
        b"a GETQUOTAROOT inbox\r\na SETQUOTA x (STORAGE 5 MESSAGE 3)\r\n",
        b"a COMPRESS DEFLATE\r\n",
        b"a CHECK\r\na CLOSE\r\na UNSELECT\r\n",
        b"a EXPUNGE\r\na UID EXPUNGE 1:4,9\r\n",
        b"a FETCH 1:*,4 (FLAGS UID BODY.PEEK[1.2.HEADER.FIELDS.NOT (From To)]<0.50> PREVIEW)\r\n",
        b"a UID FETCH $ (BINARY.PEEK[1]<1.2> BINARY.SIZE[2] RFC822.TEXT BODYSTRUCTURE)\r\n",
        b"a UID FETCH 1:4 ALL (CHANGEDSINCE 5 VANISHED)\r\n",
        b"a UID FETCH 1:4 FAST (PARTIAL -1:-5)\r\n",
        b"a STORE 1:2 (UNCHANGEDSINCE 5) +FLAGS.SILENT (\\Deleted $Junk)\r\n",
        b"a COPY 2:4 box\r\na UID MOVE 4,5 {3+}\r\nbox\r\n",
        b"a SEARCH RETURN (MIN MAX COUNT SAVE PARTIAL 1:5) CHARSET UTF-8 OR (UNSEEN NOT 1:4) "
        b"FROM {3+}\r\nann\r\n",
        b'a UID SEARCH SINCE 1-Feb-1994 HEADER x "y" MODSEQ "/flags/\\\\draft" all 5 YOUNGER 3\r\n',
        b"a UID SORT RETURN (ALL) (REVERSE DATE DISPLAYFROM) UTF-8 LARGER 5 KEYWORD x\r\n",
        b"a THREAD REFERENCES UTF-8 (SUBJECT a (BODY b (TEXT c)))\r\n",
    ],
    words=[
        b" ", b"  ", b"\r\n", b"\n", b"\r", b"(", b")", b"((((", b'"', b'\\"', b"\\", b"[", b"]",
        b"{3}\r\n", b"{5+}\r\n", b"~{2+}\r\n", b"{0}\r\n", b"{99999999+}\r\n", b"{3}", b"*", b"$",
        b"%", b"1:*", b"0", b"4294967295", b"4294967296", b"99999999999999999999", b"-1", b"NIL",
        b"\x00", b"\xff", b"\xc3\xa4", b"&AOQ-", b"&", b"+", b"<0.1>", b"OR ", b"NOT ", b"UID ",
        b"DONE\r\n", b"a ", b"UTF-8", b"RETURN ()", b"=", b"BODY[", b"HEADER.FIELDS",
    ],
)  # fmt: skip


def _run(pieces: Sequence[bytes], chance: Random) -> None:
    conversation = ServerConversation(limits=_LIMITS)
    conversation.state = chance.choice(_STATES)
    lines, said, plain = 2, 0, True
    for piece in [*pieces, None]:
        if piece is None:
            conversation.end_of_input()
        else:
            conversation.receive(piece)
            lines += piece.count(b"\n") + 1
        while (event := conversation.next_event()) is not None:
            lines += 1
            _answer(conversation, event, chance)
            plain = plain and not conversation.compressed
        if conversation.wants_tls:
            conversation.bytes_to_send()
            conversation.tls_started()
        output = conversation.bytes_to_send()
        said += len(output)
        assert not output or not plain or output.endswith(b"\r\n"), output
        # inflated input has more lines than were counted
        assert said <= 700 * lines or not plain, "too much said"
        assert conversation.closing or not conversation.paused, "waits for input, and takes none"
    assert conversation.closing, "the end of input is not the end"


def _answer(conversation: ServerConversation, event: Event, chance: Random) -> None:
    """Answer as any session might, of the answers that the event allows."""
    if isinstance(event, (AppendData, Aborted)):
        return
    kind = chance.random()
    if isinstance(event, (Append, AppendNext, Replace, Idle)) and kind < 0.7:
        conversation.accept()
    elif isinstance(event, (Authenticate, AuthenticateResponse)) and kind < 0.4:
        conversation.challenge(b"c2F5")
    elif kind < 0.1:
        conversation.no("No: \r\n]", "CODE x")
    elif kind < 0.15:
        conversation.bad("")
    elif kind < 0.16:
        conversation.bye("Enough")
    else:
        if isinstance(event, (Login, AuthenticateResponse, Authenticate)):
            conversation.logged_in()
        elif isinstance(event, Select):
            conversation.mailbox_opened()
        elif isinstance(event, Enable):
            conversation.enable(event.capabilities)
        conversation.ok()


IMAP = Target(_LANGUAGE, _run)
