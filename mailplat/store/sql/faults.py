"""PostgreSQL's errors as ours, each with what its operator can do.

An error that is not here is a mistake in a statement, and stays what it is.  What is told never
has a value of a row or a password in it.
"""

from __future__ import annotations

import psycopg

from mailplat.model.errors import Corrupt, MailError, StorageFull, Unavailable

__all__ = ["no_connection", "told"]

_REMEDIES = (
    # what the server or libpq says, and what to do; sqlstates do not come with these
    ("password authentication failed", "correct the password (passfile=, ~/.pgpass, PGPASSWORD)"),
    ("no password supplied", "give a password (passfile=, ~/.pgpass or PGPASSWORD)"),
    ("no pg_hba.conf entry", "allow this user and host in the server's pg_hba.conf"),
    ("authentication failed", "let the user in by the server's pg_hba.conf"),
    ("does not exist", "make it: createuser USER; createdb -O USER -E UTF8 DATABASE"),
    ("permission denied for database", "GRANT CONNECT ON DATABASE ... TO the user"),
    ("too many", "raise max_connections there, or let fewer processes connect"),
    ("remaining connection slots", "raise max_connections there, or let fewer processes connect"),
    ("starting up", "wait until the server has started"),
    ("shutting down", "start the server again"),
    ("read-only", "name the primary server; this one is a standby"),
    ("refused", "start the server, or correct host and port"),
    ("No such file or directory", "start the server, or correct the socket's directory (host=)"),
    ("timeout expired", "see whether the server and the network between are up"),
    ("could not translate host name", "correct the host's name"),
    ("failed to resolve host", "correct the host's name"),
    ("certificate", "correct sslrootcert= and sslmode="),
)

_STATES = {
    "25006": "the server is read-only: name the primary",
    "25P03": "a transaction took too long, and was ended",
    "3F000": "the schema is not there: restore it from a backup",
    "42501": "the user lacks a right: let it own the schema and its tables",
    "42P01": "a table is not there: restore it from a backup",
    "55P03": "another process holds the store's lock: end it if it hangs (pg_stat_activity)",
    "57P01": "the server ended the connection",
}


def no_connection(error: psycopg.Error, name: str) -> str:
    """Say why there is no connection, and the remedy."""
    said = " ".join(str(error).split())
    for words, remedy in _REMEDIES:
        if words in said:
            return f"{name}: {said}: {remedy}"
    return f"{name}: {said}"


def told(error: psycopg.Error, name: str) -> MailError | None:
    """Say an error of a statement as one of ours; None if it is a mistake of ours."""
    state = error.sqlstate or ""
    said = error.diag.message_primary or " ".join(str(error).split())
    remedy = _STATES.get(state)
    reason = f"{name}: {said}: {remedy}" if remedy else f"{name}: {said}"
    if state == "53100":
        return StorageFull(reason)
    if state in ("XX001", "XX002"):
        return Corrupt(reason)
    if remedy or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Unavailable(reason)
    return None
