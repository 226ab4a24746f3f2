"""Small HTTP servers in threads."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_POLL_S = 0.01


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], release: Callable[[], object] = lambda: None) -> Iterator[int]:
    """Serve on loopback while the block runs; gives the port.

    Args:
        handler: responds to the requests.
        release: lets requests end that wait for it, because the end of the block waits for all requests.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _POLL_S})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        release()
        server.shutdown()
        thread.join()
        server.server_close()
