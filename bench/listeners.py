"""Listen to many streams at minimal cost: one process, one loop over plain sockets.

Reads from its input the port and one session's token a line; an empty line ends them. Says ``open`` when all streams
are; whatever line comes then, it says what has arrived: for each message its id and when it came (monotonic, in ns).
"""

import json
import resource
import selectors
import socket
import sys
import time

AT_ONCE = 64
"""Streams that are being opened at the same time."""
_READ_BYTES = 65_536

# What a browser says that is of its time.
HEADERS = """\
Host: 127.0.0.1:%d\r
Connection: keep-alive\r
sec-ch-ua-platform: "Windows"\r
Authorization: Bearer %s\r
sec-ch-ua: "Chromium";v="146", "Not-A.Brand";v="24", "Google Chrome";v="146"\r
sec-ch-ua-mobile: ?0\r
User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/146.0.0.0 Safari/537.36\r
Accept: text/event-stream\r
Sec-Fetch-Site: same-origin\r
Sec-Fetch-Mode: cors\r
Sec-Fetch-Dest: empty\r
Referer: http://127.0.0.1:%d/widget/panel?key=pk_live_0123456789abcdefghijABCD&business=12345&locale=en&theme=light\r
Accept-Encoding: gzip, deflate, br, zstd\r
Accept-Language: en-GB,en;q=0.9,de-DE;q=0.8,de;q=0.7\r
Cache-Control: no-cache\r
Pragma: no-cache\r
\r
"""


class Listeners:
    """All streams of the process."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._begun: dict[socket.socket, bytes] = {}
        self.arrived: list[tuple[int, int]] = []
        self.ended = 0

    def open(self, tokens: list[str]) -> None:
        """Open a stream for each token; return when each has sent ``ready``."""
        waiting = tokens[::-1]
        while waiting or self._begun:
            while waiting and len(self._begun) < AT_ONCE:
                self._begin(waiting.pop())
            self.read(1)

    def _begin(self, token: str) -> None:
        wire = socket.create_connection(("127.0.0.1", self._port))
        head = "GET /api/customer/stream HTTP/1.1\r\n" + HEADERS % (self._port, token, self._port)
        wire.sendall(head.encode())
        wire.setblocking(False)
        self._begun[wire] = b""
        self._selector.register(wire, selectors.EVENT_READ)

    def also(self, file: int) -> None:
        """Let a file end a wait as well."""
        self._selector.register(file, selectors.EVENT_READ)

    def read(self, timeout_s: float | None) -> bool:
        """Read what has arrived; return whether the other file is readable."""
        is_other = False
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.fileobj, int):
                is_other = True
                continue
            wire = key.fileobj
            assert isinstance(wire, socket.socket)
            got = wire.recv(_READ_BYTES)
            now_ns = time.monotonic_ns()
            if not got:
                self._selector.unregister(wire)
                wire.close()
                self.ended += 1
            elif wire in self._begun:
                self._begun[wire] += got
                if b"event: ready" in self._begun[wire]:
                    del self._begun[wire]
            elif b"event: message" in got:  # each is one small write, and so one read
                begin = got.index(b'"messageId":"') + len(b'"messageId":"')
                self.arrived.append((int(got[begin : got.index(b'"', begin)]), now_ns))
        return is_other


def main() -> None:
    """Open all streams, report it, listen until a line of input arrives, print the result."""
    port = int(sys.stdin.readline())
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    tokens = list(iter(lambda: sys.stdin.readline().strip(), ""))
    listeners = Listeners(port)
    listeners.open(tokens)
    print("open", flush=True)
    listeners.also(sys.stdin.fileno())
    while not listeners.read(None):
        pass
    print(json.dumps({"arrived": listeners.arrived, "ended": listeners.ended}), flush=True)


if __name__ == "__main__":
    main()
