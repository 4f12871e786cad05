"""Who may log in, and whose address is whose."""
