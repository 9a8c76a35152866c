"""A network between a browser and the server's WebRTC port, which can be cut and mended.

A browser has no switch for that: what its developer tools call "offline" stops no UDP. So the datagrams go through a
socket of the test, and the page is made to believe that it is the server's.
"""

import asyncio
from typing import Self

from .page import Page

REROUTE = """
([port, tcp]) => {
    const own = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = function (description) {
        const lines = description.sdp.split("\\r\\n").filter(
            (line) => !line.startsWith("a=candidate:") || line.split(" ")[2].toLowerCase() === (tcp ? "tcp" : "udp"));
        const sdp = lines.map((line) => {
            if (tcp || !line.startsWith("a=candidate:")) return line;
            const parts = line.split(" ");
            parts[5] = String(port);
            return parts.join(" ");
        }).join("\\r\\n");
        return own.call(this, { type: description.type, sdp });
    };
    return true;
}
"""


async def without_udp(page: Page) -> None:
    """A network that lets no UDP through: only the server's TCP candidates are left."""
    await page.script(REROUTE, [0, True])


class Wire(asyncio.DatagramProtocol):
    """`async with Wire(("127.0.0.1", 19000)) as wire: await wire.lead(page)`, before the page joins."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._cut = False
        self._beyond: dict[tuple[str, int], asyncio.DatagramTransport] = {}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._near, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._near.close()
        self.move()

    @property
    def port(self) -> int:
        return self._near.get_extra_info("sockname")[1]

    async def lead(self, page: Page) -> None:
        """From now on the page's offers are answered with this wire's address, and no other."""
        await page.script(REROUTE, [self.port, False])

    def cut(self) -> None:
        """Nothing gets through any more, in neither direction."""
        self._cut = True

    def mend(self) -> None:
        self._cut = False

    def move(self) -> None:
        """Another network: what the browser sends comes to the server from another address."""
        for transport in self._beyond.values():
            transport.close()
        self._beyond.clear()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._cut:
            return
        beyond = self._beyond.get(addr)
        if beyond is not None:
            beyond.sendto(data)
        else:
            self._opening = asyncio.create_task(self._open(data, addr))

    async def _open(self, first: bytes, browser: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        back = _Back(self, browser)
        transport, _ = await loop.create_datagram_endpoint(lambda: back, remote_addr=self._server)
        self._beyond.setdefault(browser, transport)
        self._beyond[browser].sendto(first)

    def bring_back(self, data: bytes, browser: tuple[str, int]) -> None:
        if not self._cut:
            self._near.sendto(data, browser)


class _Back(asyncio.DatagramProtocol):
    def __init__(self, wire: Wire, browser: tuple[str, int]) -> None:
        self._wire = wire
        self._browser = browser

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        self._wire.bring_back(data, self._browser)
