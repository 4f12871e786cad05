"""Message stores: memory, Maildir, SQL."""
