"""The store that keeps everything in memory: the reference for all others, and for tests."""
