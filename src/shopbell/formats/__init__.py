"""Formats of values: identities, names, text."""
