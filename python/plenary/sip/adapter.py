"""Between the signalling and the rest: words of `sip` to words of `core` and back, and the UDP socket.

Nothing else in this package knows of `core` or asyncio.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from plenary.core import commands, events
from plenary.core.resources import Address

from .config import Datagram
from .endpoint import Endpoint
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

Received = Callable[[bytes, tuple[str, int]], None]
Unreachable = Callable[[tuple[str, int], str], None]

RECEIVE_BUFFER = 4 * 1024 * 1024
"""Bytes the kernel may hold for us: about a second of 1,500 calls that hang up at once."""


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


class SipUdp(asyncio.DatagramProtocol):
    """Moves datagrams between a UDP socket and whoever decides. Decides nothing.

    `received` is given a datagram and its source; `unreachable` a destination to which nothing can be sent, and why.
    """

    def __init__(self, received: Received, unreachable: Unreachable) -> None:
        self._received = received
        self._unreachable = unreachable
        self._transport: asyncio.DatagramTransport | None = None
        self._resolving: set[asyncio.Task[None]] = set()

    @classmethod
    async def listen(cls, host: str, port: int, received: Received, unreachable: Unreachable) -> "SipUdp":
        """Binds the socket. Raises OSError if the address is taken or not this machine's."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: cls(received, unreachable), local_addr=(host, port)
        )
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        return protocol

    @property
    def transport(self) -> asyncio.DatagramTransport:
        assert self._transport is not None, "used before listen() returned"
        return self._transport

    @property
    def port(self) -> int:
        return self.transport.get_extra_info("sockname")[1]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._received(data, (addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """A peer's port is closed: the transaction's own timers end the call, as RFC 3261 has it for silence."""

    def send(self, datagrams: list[Datagram]) -> None:
        for datagram in datagrams:
            host, port = datagram.destination
            if _is_name(host):
                task = asyncio.get_running_loop().create_task(self._resolve_and_send(datagram.data, host, port))
                self._resolving.add(task)
                task.add_done_callback(self._resolving.discard)
            elif (":" in host) != (self._family == socket.AF_INET6):
                self._unreachable((host, port), f"{host} is no address of the kind that this server listens on")
            else:
                self.transport.sendto(datagram.data, (host, port))

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
            self.transport.sendto(data, found[0][4][:2])

    def close(self) -> None:
        self.transport.close()


def _is_name(host: str) -> bool:
    return not (host.replace(".", "").isdigit() or ":" in host)
