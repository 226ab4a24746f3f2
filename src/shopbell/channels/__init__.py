"""Channels: one package per medium, inbound and outbound."""
