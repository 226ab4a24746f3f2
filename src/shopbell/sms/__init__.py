"""Read and write SMS: pure functions."""
