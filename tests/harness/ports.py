"""Free ports of 127.0.0.1."""

import os
import random
import socket
from collections import deque

_PORTS = range(15_000, 32_000)  # below those that the system gives to outgoing connections
_SHARES = 8
_given: deque[int] = deque(maxlen=500)


def free_port() -> int:
    """A port that nothing listens on.

    The caller may need a second until it listens. So each worker of pytest-xdist has its own ports, and does not reuse
    one soon. Otherwise, the server of another test could take the port and respond instead.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    mine = _PORTS[int(worker.removeprefix("gw")) % _SHARES :: _SHARES] if worker else _PORTS
    chooser = random.SystemRandom()
    while True:
        port = chooser.choice(mine)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.append(port)
            return port
