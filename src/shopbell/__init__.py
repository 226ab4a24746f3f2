"""Shopbell: the bell on the counter of a shop. Self-hosted customer messaging."""

__version__ = "0.1.0"
