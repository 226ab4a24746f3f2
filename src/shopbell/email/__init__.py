"""Read and write emails: pure functions."""
