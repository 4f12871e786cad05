"""OAuth 2 bearer tokens: whether they are good, and for which account."""
