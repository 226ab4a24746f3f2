"""Import conversations and contacts from other products."""
