"""Filters and the chain that asks them."""
