"""The IMAP session, a subject a file."""
