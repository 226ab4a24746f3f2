"""Notify customers and businesses by email and SMS."""
