"""Durable bytes on their way: intake of a body, and the queue's files."""
