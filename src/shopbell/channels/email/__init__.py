"""Email: ways in and out."""
