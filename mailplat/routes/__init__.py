"""Where a recipient's mail leads."""
