"""Mail on its way out: when to try, how much at once, and what the sender is told."""
