"""The HTTP client for SMS providers, whose address the operator sets."""

from collections.abc import Mapping

from shopbell import __version__
from shopbell.notifications.outcomes import TryLater, Unknown
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.client import HttpResponse, OutboundClient
from shopbell.safe_http.errors import AttemptTimeout, ConnectionLost, OutboundFailure, ResponseNotHttp
from shopbell.safe_http.urls import parse_url

OPERATOR_PAUSE_S = 300
"""The pause after an error that only the operator can fix."""

_MAYBE_RECEIVED = (AttemptTimeout, ConnectionLost, ResponseNotHttp)


class Provider:
    """Posts to one address, through the guarded client.

    Args:
        url: may be in the operator's network, and use plain HTTP there.
        timeout_s: seconds for a whole attempt.
        connect_timeout_s: seconds to connect.
        dns_timeout_s: seconds to look up the name.

    Raises:
        ValueError: the URL is not valid.
    """

    def __init__(self, url: str, *, timeout_s: float, connect_timeout_s: float, dns_timeout_s: float) -> None:
        target = parse_url(url)
        self._url = url
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        # This origin only: redirects and names that resolve elsewhere are not followed.
        self._client = OutboundClient(
            AllowList(frozenset({(target.host, target.port)})), dns_timeout_s=dns_timeout_s, keep_alive_limit=0
        )

    async def post(self, content: bytes, headers: Mapping[str, str]) -> HttpResponse | TryLater | Unknown:
        """Send one request, once.

        Returns:
            The response; or that the request certainly did not arrive; or that this is not known.

        Raises:
            ValueError: a header has forbidden characters; nothing was sent.
        """
        ours = {
            "user-agent": f"Shopbell/{__version__}",
            # The server may just be closing a reused connection. Then it would not be known whether it read the
            # request, and a text that may have been sent is not sent again.
            "connection": "close",
        }
        try:
            return await self._client.post(
                self._url,
                headers={**headers, **ours},
                content=content,
                timeout_s=self._timeout_s,
                connect_timeout_s=self._connect_timeout_s,
            )
        except OutboundFailure as failure:
            if isinstance(failure, _MAYBE_RECEIVED):
                return Unknown(failure.error_class)
            return TryLater(failure.error_class)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
