"""The index: mailboxes, UIDs, flags, changes and summaries in a database; bytes are elsewhere."""
