"""What becomes of mails that come in."""
