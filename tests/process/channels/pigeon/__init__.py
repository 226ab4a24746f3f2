"""Carrier pigeons: a channel for ``test_new_channel.py``.

The test adds it to a copy of Shopbell.
"""
