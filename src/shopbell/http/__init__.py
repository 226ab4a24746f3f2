"""The edge: what arrives over HTTP, cut by who calls."""
