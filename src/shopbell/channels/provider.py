"""The way to a provider of texts: one whose address the operator gave, wherever it is."""

from collections.abc import Mapping

from shopbell import __version__
from shopbell.channels.channel import TryLater, Unknown
from shopbell.outbound.addresses import AllowList
from shopbell.outbound.client import Answer, OutboundClient
from shopbell.outbound.failures import AnswerNotHttp, AttemptTimeout, ConnectionLost, OutboundFailure
from shopbell.outbound.targets import parse_url

MENDED_BY_PEOPLE_S = 300
"""The pause where only the operator can mend what is wrong."""

_MAYBE_RECEIVED = (AttemptTimeout, ConnectionLost, AnswerNotHttp)


class Provider:
    """Posts to one address, over the guarded client.

    Args:
        url: the operator's own: it may be in his network, and plain http there.
        timeout_s: seconds for a whole attempt.
        connect_timeout_s: seconds to connect.
        dns_timeout_s: seconds to look the name up.

    Raises:
        ValueError: the address is none.
    """

    def __init__(self, url: str, *, timeout_s: float, connect_timeout_s: float, dns_timeout_s: float) -> None:
        target = parse_url(url)
        self._url = url
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        # Nothing but this one place: a redirect, or a name that leads elsewhere, is not followed.
        self._client = OutboundClient(
            AllowList(frozenset({(target.host, target.port)})), dns_timeout_s=dns_timeout_s, keep_alive_limit=0
        )

    async def post(self, content: bytes, headers: Mapping[str, str]) -> Answer | TryLater | Unknown:
        """Send one request, once.

        Returns:
            What was answered; or that it certainly did not arrive; or that nobody knows.

        Raises:
            ValueError: a header has characters that it may not have; nothing was sent.
        """
        ours = {
            "user-agent": f"Shopbell/{__version__}",
            # A connection that is used again may just be ending at the other side. Then nobody could tell whether the
            # request was read, and a text that may have gone out is not sent again.
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
        """End all connections."""
        await self._client.close()
