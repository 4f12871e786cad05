"""Random dialogues for the pure conversations: seeded, grammar-like, fast enough for a million."""
