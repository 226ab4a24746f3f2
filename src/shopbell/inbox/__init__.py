"""What employees see and do in the inbox."""
