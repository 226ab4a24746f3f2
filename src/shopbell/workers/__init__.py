"""Processes that deliver webhooks and notifications."""
