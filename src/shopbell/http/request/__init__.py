"""What all requests share: authentication, bodies, limits, problems."""
