"""The HTTP/1.1 server. Knows nothing of the product."""
