"""Live streams: Server-Sent Events for customers' browsers and for programs."""
