"""Keys, tokens, encryption and private files."""
