"""`make bench`: what a durable send costs, beside what else could do the same work. See docs/performance.md."""
