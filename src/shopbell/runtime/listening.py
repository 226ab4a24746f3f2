"""Listen on a TCP port."""

import errno
import socket

from shopbell.errors import CommandError

BACKLOG = 2_048


def listen(host: str, port: int, *, remedy: str) -> socket.socket:
    """Listen on an address.

    Args:
        host: name or address.
        port: TCP port; 0 chooses a free one.
        remedy: the options or settings that choose another port, for the error.

    Raises:
        CommandError: the address is in use, or not an address of this machine, or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise CommandError(f"{host} is not an address of this machine") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Listen now, before the program is ready: until then another one could take the port.
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise CommandError(f"port {port} on {host} is in use; choose another with {remedy}") from None
        raise CommandError(f"cannot listen on port {port} of {host}: {error.strerror}") from None
    return listener
