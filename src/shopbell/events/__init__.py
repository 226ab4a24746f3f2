"""The event feed and the audit log."""
