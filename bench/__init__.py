"""`make bench`: compare a durable send with alternatives. See docs/performance.md."""
