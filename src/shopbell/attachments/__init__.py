"""Files that people attach to messages."""
