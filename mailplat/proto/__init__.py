"""Conversations: the pure state machine of one connection; bytes in, events out."""
