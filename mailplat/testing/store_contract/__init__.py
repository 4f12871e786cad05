"""The store contract's tests by subject; `mailplat.testing.stores` puts them together."""
