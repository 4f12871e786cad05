"""How fast mailplat is, beside others on the same machine: ``python -m bench --help``."""
