"""Sound from a URL that a user of the API chose, fetched by the server: so it is the server that must be protected.

Only http and https. The host's name is looked up once, and the connection goes to an address that was looked at: no
address of this machine, of its networks or of the link, unless `allow_private`. Redirects are followed on the same host
only. No proxy, no cookies, no credentials but those in the URL, no compressed answers, and an end to time and size.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable

import httpx

from ..core.limits import URL_MAX
from .convert import to_prompt
from .errors import AudioForbidden, AudioMalformed, AudioTooLarge, AudioUnreachable
from .sound import Sound
from .wav import parse

FETCH_MAX_BYTES = 10 * 1024 * 1024
"""8 minutes of 8 kHz mono, or one of CD quality."""

FETCH_TIMEOUT_S = 10.0
"""From the question to the last byte."""

REDIRECTS_MAX = 3
"""On the same host: a missing slash, http to https."""

FETCHES = 8
"""At once: bounds the memory for what is on its way to 80 MiB."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str, int], Awaitable[list[str]]]
"""(host, port) -> addresses. Raises `OSError`."""


async def look_up(host: str, port: int) -> list[str]:
    """Addresses of the host as the system knows them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(address: Address) -> bool:
    """Whether it belongs to the internet at large. An address within an address counts as the one inside."""
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if inside is None and address in _NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inside is not None:
            return is_public(inside)
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved and not address.is_unspecified


class Fetcher:
    """Fetches WAV files. `transport` and `look_up` stand for the network in tests."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        look_up: Lookup = look_up,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = FETCH_TIMEOUT_S,
    ) -> None:
        """`allow_private`: also from this machine and its own networks."""
        self._allow_private = allow_private
        self._look_up = look_up
        self._transport = transport
        self._timeout_s = timeout_s
        self._running = asyncio.Semaphore(FETCHES)

    async def fetch(self, url: str) -> Sound:
        """The WAV file at `url` as 16 kHz mono. Raises `PromptError`."""
        async with self._running:
            try:
                async with asyncio.timeout(self._timeout_s):
                    file = await self._fetch(url)
            except TimeoutError:
                raise AudioUnreachable(f"The sound did not come within {self._timeout_s:g} s.") from None
            return await to_prompt(parse(file))

    async def _fetch(self, url: str) -> bytes:
        target = _parsed(url)
        host = target.host
        address = await self._address(host, target.port or (443 if target.scheme == "https" else 80))
        client = httpx.AsyncClient(
            transport=self._transport, trust_env=False, follow_redirects=False, timeout=self._timeout_s
        )
        async with client:
            for _ in range(REDIRECTS_MAX + 1):
                answer = await self._ask(client, target, address)
                if isinstance(answer, bytes):
                    return answer
                target = target.join(answer)
                if target.scheme not in ("http", "https") or target.host != host:
                    raise AudioForbidden("The URL leads on to another host: give the URL where the sound is.")
        raise AudioUnreachable(f"The URL leads on more than {REDIRECTS_MAX} times.")

    async def _address(self, host: str, port: int) -> str:
        try:
            found = await self._look_up(host, port)
            addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
        except (OSError, UnicodeError, ValueError):
            addresses = []
        if not addresses:
            raise AudioUnreachable("The host of the URL is not known.")
        for address in addresses:
            if self._allow_private or is_public(address):
                return str(address)
        raise AudioForbidden(
            "The URL leads to this machine or its own networks, which this server does not fetch from unless "
            "PLENARY_FETCH_PRIVATE is true."
        )

    async def _ask(self, client: httpx.AsyncClient, target: httpx.URL, address: str) -> bytes | str:
        """The body, or where the answer leads on to. Connects to `address`, whatever the name says by now."""
        request = client.build_request(
            "GET",
            target.copy_with(host=address),
            headers={"Host": target.netloc.decode("ascii"), "Accept": "audio/*", "Accept-Encoding": "identity"},
            extensions={"sni_hostname": target.host},
        )
        try:
            answer = await client.send(request, stream=True)
            try:
                if answer.is_redirect:
                    return answer.headers["location"]
                if answer.status_code != 200:
                    raise AudioUnreachable(f"The URL answered with status {answer.status_code}.")
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise AudioMalformed("The URL answered with a compressed file: serve the WAV file as it is.")
                return await self._body(answer)
            finally:
                await answer.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise AudioUnreachable("The URL could not be fetched.") from error

    @staticmethod
    async def _body(answer: httpx.Response) -> bytes:
        body = bytearray()
        async for part in answer.aiter_raw():
            body += part
            if len(body) > FETCH_MAX_BYTES:
                raise AudioTooLarge(f"The file has more than {FETCH_MAX_BYTES // 1024 // 1024} MiB: make it shorter.")
        return bytes(body)


def _parsed(url: str) -> httpx.URL:
    try:
        if len(url) > URL_MAX:
            raise ValueError
        target = httpx.URL(url)
        if target.scheme not in ("http", "https") or not target.host:
            raise ValueError
    except (httpx.InvalidURL, ValueError):
        raise AudioForbidden("This is no http or https URL.") from None
    return target
