"""Report that the port of the demo is in use, before ``make run`` installs and builds anything.

Uses only the standard library, because nothing is installed yet.
"""

import errno
import os
import socket
import sys
from pathlib import Path
from typing import Any

_LAST = 65_535
_PROPOSED = 100
"""How many ports after the chosen one may be proposed."""


def chosen() -> tuple[str, int]:
    """Return host and port, as ``Settings`` finds them.

    Raises:
        ValueError: one of them is invalid, or the settings file is.
    """
    file = Path(os.environ.get("SHOPBELL_CONFIG") or "shopbell.toml")
    kept: dict[str, Any] = {}
    if file.is_file():
        import tomllib  # Python 3.10 has none; make then says which version it needs

        kept = tomllib.loads(file.read_text("utf-8"))
    host = os.environ.get("SHOPBELL_HOST") or kept.get("host", "127.0.0.1")
    port = os.environ.get("SHOPBELL_PORT") or kept.get("port", 8080)
    if not 0 <= int(port) <= _LAST:
        raise ValueError("no port has this number")
    return str(host), int(port)


def is_in_use(host: str, port: int) -> bool:
    """Whether another program listens on a port. False if the host is not an address of this machine."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def main() -> None:
    """Exit with 1 and say what to do, if the port is in use. An invalid setting is left to the server to report."""
    try:
        host, port = chosen()
    except ValueError:
        return
    if is_in_use(host, port):
        others = range(port + 1, min(port + _PROPOSED, _LAST))
        other = next((each for each in others if not is_in_use(host, each)), 0)
        sys.exit(
            f"Port {port} is in use, perhaps by another `make run`. Stop that program, or use another port:\n"
            f"  make run SHOPBELL_PORT={other}"
        )


if __name__ == "__main__":
    main()
