"""How employees get in: invitations, credentials, sessions, and what their roles permit."""
