"""POP3: the server's conversation (RFC 1939)."""
