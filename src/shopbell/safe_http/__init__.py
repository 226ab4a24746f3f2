"""The guarded HTTP client for all outbound connections."""
