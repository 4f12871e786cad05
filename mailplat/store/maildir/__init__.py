"""The Maildir store: files anyone may touch, and an index beside them."""
