"""Delivery agents: each brings mail one step further."""
