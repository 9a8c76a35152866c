"""Between the signalling and the rest: words of `sip` to words of `core` and back, and the UDP socket.

Nothing else in this package knows of `core` or asyncio.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from plenary.core import commands, events
from plenary.core.resources import Address

from .config import Address as HostPort
from .config import Datagram, Listener
from .endpoint import Endpoint
from .errors import CannotListen
from .events import (
    Acked,
    Answered,
    Digit,
    Ended,
    Invited,
    OfferAnswered,
    Offered,
    OfferRefused,
    Progressed,
    Refused,
    Ringing,
    SipEvent,
)

SignallingCommand = (
    commands.RingCall
    | commands.ProgressCall
    | commands.AnswerCall
    | commands.RefuseCall
    | commands.PlaceCall
    | commands.HangUp
    | commands.SendOffer
    | commands.AnswerOffer
    | commands.RefuseOffer
)

Received = Callable[[bytes, HostPort, HostPort], None]
Unreachable = Callable[[HostPort, str], None]

RECEIVE_BUFFER = 4 * 1024 * 1024
"""Bytes the kernel may hold for us: about a second of 1,500 calls that hang up at once."""

NEVER_SENT = frozenset({errno.EINVAL, errno.EACCES})
"""What the system says of an address that a socket can't send to: outside of this machine for one on loopback, or a
broadcast address."""


def told(event: SipEvent) -> events.Event:
    """What a signalling event means to the core."""
    match event:
        case Invited():
            return events.CallOffered(
                call=event.call,
                user=event.user,
                source=Address(target=_target(event.from_uri), target_name=event.from_name),
                destination=Address(target=_target(event.to_uri)),
                sdp=event.sdp,
                username=event.username or "",
            )
        case Ringing() | Progressed():
            return events.CallRinging(call=event.call)
        case Answered():
            return events.CallAnswered(call=event.call, sdp=event.sdp)
        case Refused():
            return events.CallRefused(call=event.call, status=event.status, reason=event.reason)
        case Acked():
            return events.CallAcked(call=event.call, sdp=event.sdp)
        case Offered():
            return events.SdpOffered(call=event.call, sdp=event.sdp)
        case OfferAnswered():
            return events.SdpAnswered(call=event.call, sdp=event.sdp)
        case OfferRefused():
            return events.SdpRefused(call=event.call, status=event.status)
        case Digit():
            return events.DigitPressed(call=event.call, digit=event.digit, duration_ms=event.duration_ms)
        case Ended():
            return events.CallEnded(call=event.call, reason=event.reason)
        case _:
            raise AssertionError(f"{event} is not in the table")


def perform(endpoint: Endpoint, command: SignallingCommand, now: float) -> None:
    """Hands a command of the core to the endpoint."""
    match command:
        case commands.RingCall(call=call):
            endpoint.ring(call, now)
        case commands.ProgressCall(call=call, sdp=sdp):
            endpoint.progress(call, sdp, now)
        case commands.AnswerCall(call=call, sdp=sdp):
            endpoint.answer(call, sdp, now)
        case commands.RefuseCall(call=call, status=status, reason=reason):
            endpoint.refuse(call, status, reason, now)
        case commands.PlaceCall():
            source = command.source or None
            endpoint.invite(command.call, command.target, command.sdp, command.source_name, now, source)
        case commands.HangUp(call=call, reason=reason):
            endpoint.hang_up(call, now, reason)
        case commands.SendOffer(call=call, sdp=sdp):
            endpoint.send_offer(call, sdp, now)
        case commands.AnswerOffer(call=call, sdp=sdp):
            endpoint.answer_offer(call, sdp, now)
        case commands.RefuseOffer(call=call, status=status):
            endpoint.refuse_offer(call, status, now)


def _target(uri: str) -> str:
    """`user@host[:port]` of a SIP URI, as the API shows it: without scheme, parameters and headers."""
    return uri.removeprefix("sips:").removeprefix("sip:").partition(";")[0].partition("?")[0]


class SipSockets:
    """The sockets of all listeners. `listeners` are those that were asked for, with the ports that were got."""

    def __init__(self) -> None:
        self.listeners: tuple[Listener, ...] = ()
        self._sockets: dict[HostPort, SipUdp] = {}

    @classmethod
    async def listen(cls, wanted: Sequence[Listener], received: Received, unreachable: Unreachable) -> "SipSockets":
        """Binds all of them, or none: raises CannotListen. For the two functions see `SipUdp`."""
        made = cls()
        for one in wanted:
            try:
                udp = await SipUdp.listen(one.host, one.port, received, unreachable)
            except OSError as error:
                made.close()
                raise CannotListen(one.address, error) from error
            made._sockets[udp.address] = udp
            made.listeners += (Listener(*udp.address, one.public_host),)
        return made

    def send(self, datagrams: Iterable[Datagram]) -> None:
        """Sends each by the socket of its listener."""
        for datagram in datagrams:
            self._sockets[datagram.local].send(datagram)

    def close(self) -> None:
        for udp in self._sockets.values():
            udp.close()


class SipUdp(asyncio.DatagramProtocol):
    """Moves datagrams between the UDP socket of a listener and whoever decides. Decides nothing.

    `received` is given a datagram, its source and the listener's address; `unreachable` a destination to which nothing
    can be sent, and why.
    """

    def __init__(self, host: str, received: Received, unreachable: Unreachable) -> None:
        self._received = received
        self._unreachable = unreachable
        self._transport: asyncio.DatagramTransport | None = None
        self.address = (host, 0)
        """By which the listener is known: the host as it was asked for, and the port that was got."""
        self._resolving: set[asyncio.Task[None]] = set()
        self._sending_to: HostPort | None = None
        """The destination of the datagram that is being sent."""

    @classmethod
    async def listen(cls, host: str, port: int, received: Received, unreachable: Unreachable) -> "SipUdp":
        """Binds the socket. Raises OSError if the address is taken or not this machine's."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: cls(host, received, unreachable), local_addr=(host, port)
        )
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        return protocol

    @property
    def transport(self) -> asyncio.DatagramTransport:
        assert self._transport is not None, "used before listen() returned"
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.address = (self.address[0], transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._received(data, (addr[0], addr[1]), self.address)

    def error_received(self, exc: Exception) -> None:
        """What can never be sent by this socket has failed (RFC 3261 section 18.4). All else, such as a peer's closed
        port or a network that is down, may be over soon: the transaction's own timers end the call."""
        if self._sending_to is not None and isinstance(exc, OSError) and exc.errno in NEVER_SENT:
            host = self._sending_to[0]
            self._unreachable(self._sending_to, f"{host} can't be reached from {self.address[0]}: {exc.strerror}")

    def send(self, datagram: Datagram) -> None:
        host, port = datagram.destination
        if _is_name(host):
            task = asyncio.get_running_loop().create_task(self._resolve_and_send(datagram.data, host, port))
            self._resolving.add(task)
            task.add_done_callback(self._resolving.discard)
        elif (":" in host) != (self._family == socket.AF_INET6):
            self._unreachable((host, port), f"{host} is no address of the kind that this server listens on")
        else:
            self._send_to((host, port), datagram.data, (host, port))

    @property
    def _family(self) -> socket.AddressFamily:
        return self.transport.get_extra_info("socket").family

    async def _resolve_and_send(self, data: bytes, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, family=self._family, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError):  # the latter for what is no host name to the codec of international ones
            self._unreachable((host, port), f"{host} does not resolve")
            return
        if not self.transport.is_closing():
            address = found[0][4]
            self._send_to((host, port), data, (str(address[0]), int(address[1])))

    def _send_to(self, destination: HostPort, data: bytes, address: HostPort) -> None:
        self._sending_to = destination
        try:
            self.transport.sendto(data, address)  # tells `error_received` before it returns
        finally:
            self._sending_to = None

    def close(self) -> None:
        self.transport.close()


def _is_name(host: str) -> bool:
    return not (host.replace(".", "").isdigit() or ":" in host)
