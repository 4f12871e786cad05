"""Twisted: bytes between transports and conversations, TLS, limits by peer."""
