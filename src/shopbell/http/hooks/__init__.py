"""What providers call: they have no token, and sign each request instead. Nothing is believed before that."""
