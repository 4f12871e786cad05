"""IMAP: fragments, tokens, commands, responses and the view (RFC 3501, RFC 9051)."""
