"""Every option, once: name, type, unit, default, meaning and precedent."""
