"""Customers, their identities and their sessions."""
