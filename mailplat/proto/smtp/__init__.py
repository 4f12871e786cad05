"""SMTP, LMTP: the conversations of both sides (RFC 5321, RFC 2033)."""
