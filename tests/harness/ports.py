"""Free ports of 127.0.0.1."""

import random
import socket


def free_port() -> int:
    """A port that nothing listens on, below those that the system gives to outgoing connections."""
    chooser = random.SystemRandom()
    while True:
        port = chooser.randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
