"""Contracts between the parts: zope.interface, one subject a file."""
