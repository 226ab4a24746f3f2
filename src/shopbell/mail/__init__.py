"""Mails, written and read: pure, no network and no database."""
