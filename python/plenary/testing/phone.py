"""A virtual SIP phone: it calls and is called, says and hears, presses keys, holds and hangs up.

    async with Phone("ann") as ann:
        await ann.call("sip:meeting@127.0.0.1:5060")
        ann.say(440)
        await ann.press("1234#")
        ...
        assert tones_in(ann.heard().last(1.0), [440, 650]) == {650}
        await ann.hang_up()

It has one line, stands on the same SIP endpoint as the server, and sends real packets in real time: a packet every
20 ms, of silence where it has nothing to say. Times are those of the event loop's clock.
"""

import asyncio
import functools
import ipaddress
import secrets
import socket
from pathlib import Path
from typing import Self

from ..sip import events as sip
from ..sip.config import Credentials, Datagram, EndpointConfig, Listener
from ..sip.endpoint import Endpoint
from . import sdp
from .rtp import TELEPHONE_EVENT, Heard, Reception
from .tones import Pcm
from .voice import NotInCall, Packets, PhoneError, Voice, finish

ANSWER_TIMEOUT_S = 35.0
"""Longer than a SIP transaction (RFC 3261 timer B): who waits for an answer waits at most this long."""


class CallRefused(PhoneError):
    """The call that the phone made came to nothing."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class Phone:
    """One line, on loopback unless `host` says otherwise.

    `codecs` in order of preference. `password` answers challenges in the name of `name`. With `answers` every call
    is answered at once. With `offers` false its own calls leave the offer to the server.
    """

    def __init__(
        self,
        name: str,
        *,
        host: str = "127.0.0.1",
        codecs: tuple[str, ...] = ("PCMU", "PCMA"),
        password: str = "",
        answers: bool = False,
        offers: bool = True,
    ) -> None:
        self.name = name
        self.ringing = asyncio.Event()
        """The phone that was called rings, or this one does."""
        self.digits = ""
        """Keys that came by INFO; those by RTP are in `voice.digits`."""
        self._host = host
        self._codecs = codecs
        self._password = password
        self._answers = answers
        self._offers = offers
        self._call: str | None = None
        self._their_offer: str | None = None
        self._answered: asyncio.Future[None] | None = None
        self._changed: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[str] | None = None
        self._version = 0
        self._sip_timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._sip, _ = await self._loop.create_datagram_endpoint(
            lambda: Packets(self._on_sip), local_addr=(self._host, 0)
        )
        self.voice = await Voice.open(self._host)
        config = EndpointConfig(
            listeners=(Listener(self._host, _port(self._sip)),),
            outgoing=Credentials(self.name, self._password, self._host) if self._password else None,
            server_name="plenary-phone",
        )
        self._endpoint = Endpoint(config, secrets.token_hex, secrets.token_bytes(16))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hangs up without waiting for the answer."""
        if self._call is not None:
            self._endpoint.hang_up(self._call, self._loop.time())
            self._pump()
        self.vanish()

    # --- Calls

    @property
    def uri(self) -> str:
        """Where this phone can be called."""
        return f"sip:{self.name}@{self._host}:{_port(self._sip)}"

    @property
    def in_call(self) -> bool:
        return self._call is not None

    @property
    def ended(self) -> "asyncio.Future[str]":
        """Done when the last call is over: `bye`, `cancel`, ... or `refused`."""
        if self._ended is None:
            raise NotInCall("this phone was in no call yet")
        return self._ended

    async def call(self, uri: str) -> None:
        """Calls and returns when it is answered. Raises CallRefused. Cancelling gives the call up."""
        await self.dial(uri)

    def dial(self, uri: str) -> "asyncio.Future[None]":
        """Calls; the future is done when it is answered, or has CallRefused."""
        if self._call is not None:
            raise PhoneError("this phone is in a call already")
        answered = self._begin(secrets.token_hex(8))
        offer = self._describe("sendrecv") if self._offers else None
        own = f"sip:{self.name}@{self._host}"
        self._endpoint.invite(self._in_call(), uri, offer, self.name, self._loop.time(), source=own)
        self._pump()
        answered.add_done_callback(self._give_up_if_cancelled)
        return answered

    async def answer(self, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        """Waits until it rings, and answers; returns when the caller has confirmed it."""
        async with asyncio.timeout(timeout_s):
            while self._answered is None or self._call is None:
                self.ringing.clear()
                await self.ringing.wait()
            self._pick_up()
            await self._answered

    def refuse(self, status: int = 486) -> None:
        """Refuses the call that rings."""
        self._endpoint.refuse(self._in_call(), status, "", self._loop.time())
        self._pump()

    async def hold(self, direction: str = "sendonly") -> None:
        """Holds the peer (RFC 3264 section 8.4): the phone hears nothing until `resume`."""
        await self._offer(direction)

    async def resume(self) -> None:
        await self._offer("sendrecv")

    async def hang_up(self) -> None:
        """Ends the call, whatever its state, and waits for the end."""
        ended = self.ended
        if self._call is not None:
            self._endpoint.hang_up(self._call, self._loop.time())
            self._pump()
        await ended

    def vanish(self) -> None:
        """As if its cable was pulled: sends and hears nothing any more."""
        if self._sip_timer is not None:
            self._sip_timer.cancel()
        self._sip.close()
        self.voice.close()

    # --- Sound

    @property
    def said_at(self) -> float | None:
        """When the first packet of what was last said has left."""
        return self.voice.said_at

    @property
    def direction(self) -> str:
        """What this phone may do, by the last offer and answer (RFC 3264)."""
        return self.voice.direction

    def say(self, sound: "Pcm | float | Path", loop: bool = False) -> "asyncio.Future[None]":
        """Says it from the next packet on, in place of what it said before; the future is done when it is said.

        `sound`: samples at 8 kHz, a WAV file of such, or a whole number of Hz for a tone without end.
        """
        return self.voice.say(sound, loop)

    def be_quiet(self) -> None:
        """Says nothing any more, but sends packets of silence."""
        self.voice.be_quiet()

    async def press(self, digits: str, duration_ms: int = 100, *, by_info: bool = False) -> None:
        """Presses keys one after the other, by RTP (RFC 4733) or by INFO; returns when they are sent."""
        if not by_info:
            await self.voice.press(digits, duration_ms)
            return
        for digit in digits:
            self._endpoint.send_digit(self._in_call(), digit, duration_ms, self._loop.time())
            self._pump()
            await asyncio.sleep(duration_ms / 1000)

    def heard(self) -> Heard:
        """All that was heard in this call."""
        return self.voice.heard()

    @property
    def reception(self) -> Reception:
        """How well the packets came."""
        return self.voice.reception

    # --- Signalling

    def _begin(self, call: str) -> "asyncio.Future[None]":
        self._call = call
        self.ringing.clear()
        self._ended = self._loop.create_future()
        self._answered = self._loop.create_future()
        self.voice.forget()
        self.digits = ""
        return self._answered

    def _in_call(self) -> str:
        if self._call is None:
            raise NotInCall(f"{self.name} is in no call")
        return self._call

    def _give_up_if_cancelled(self, answered: "asyncio.Future[None]") -> None:
        if answered.cancelled() and self._call is not None:
            self._endpoint.hang_up(self._call, self._loop.time())
            self._pump()

    def _pick_up(self) -> None:
        call = self._in_call()
        if self._their_offer is None:
            answer = self._describe("sendrecv")
        else:
            answer = self._accept(self._their_offer)
            if answer is None:
                self._endpoint.refuse(call, 488, "", self._loop.time())
                self._pump()
                return
        self._endpoint.answer(call, answer, self._loop.time())
        self._pump()

    async def _offer(self, direction: str) -> None:
        call = self._in_call()
        changed = self._changed = self._loop.create_future()
        self._endpoint.send_offer(call, self._describe(direction), self._loop.time())
        self._pump()
        await asyncio.wait_for(changed, ANSWER_TIMEOUT_S)

    def _describe(self, direction: str) -> str:
        self._version += 1
        return self.voice.media(self._codecs, direction).write(self._version)

    def _accept(self, offer: str) -> str | None:
        """My answer to the peer's offer, None if I can't."""
        try:
            peer = sdp.read(offer)
            answer = sdp.answer(self.voice.media(self._codecs), peer)
        except sdp.BadSdp:
            return None
        self._version += 1
        self.voice.use(peer, answer.codecs[0], answer.telephone_event or TELEPHONE_EVENT)
        return answer.write(self._version)

    def _apply(self, answer: str | None) -> None:
        """The peer's answer to my offer."""
        if answer is None:
            return
        peer = sdp.read(answer)
        self.voice.use(peer, peer.codecs[0])

    def _on_sip(self, data: bytes, source: tuple[str, int]) -> None:
        self._endpoint.receive(data, source, self._loop.time())
        self._pump()

    def _on_sip_timer(self) -> None:
        self._endpoint.fire(self._loop.time())
        self._pump()

    def _pump(self) -> None:
        """Events, packets and the timer of the endpoint, after anything was done with it."""
        while events := self._endpoint.events():
            for event in events:
                self._handle(event)
        self._endpoint.changed()
        for datagram in self._endpoint.datagrams():
            self._send_sip(datagram)
        if self._sip_timer is not None:
            self._sip_timer.cancel()
        timeout = self._endpoint.timeout()
        if timeout is not None and not self._sip.is_closing():
            self._sip_timer = self._loop.call_at(timeout, self._on_sip_timer)

    def _send_sip(self, datagram: Datagram) -> None:
        if not self._sip.is_closing():
            host, port = datagram.destination
            self._sip.sendto(datagram.data, (_resolved(host), port))

    def _handle(self, event: sip.SipEvent) -> None:
        now = self._loop.time()
        if isinstance(event, sip.Invited) and self._call is None:
            self._begin(event.call)
            self._their_offer = event.sdp
            self._endpoint.ring(event.call, now)
            self.ringing.set()
            if self._answers:
                self._pick_up()
            return
        if isinstance(event, sip.Invited):
            self._endpoint.refuse(event.call, 486, "", now)
            return
        if event.call != self._call:
            return
        match event:
            case sip.Ringing():
                self.ringing.set()
            case sip.Progressed():
                self._apply(event.sdp)
            case sip.Answered():
                self._confirm(event)
            case sip.Acked():
                self._apply(event.sdp)
                finish(self._answered)
            case sip.Offered():
                self._answer_offer(event)
            case sip.OfferAnswered():
                self._apply(event.sdp)
                finish(self._changed)
            case sip.OfferRefused():
                finish(self._changed, CallRefused(event.status, "the peer refused our offer"))
            case sip.Digit():
                self.digits += event.digit
            case sip.Refused():
                self._over("refused", CallRefused(event.status, event.reason))
            case sip.Ended():
                self._over(event.reason, CallRefused(487, f"the call ended before it was answered: {event.reason}"))
            case _:
                raise AssertionError(f"unknown event {event}")

    def _confirm(self, event: sip.Answered) -> None:
        if self._offers:
            self._apply(event.sdp)
        else:
            answer = None if event.sdp is None else self._accept(event.sdp)
            if answer is None:
                self._endpoint.hang_up(event.call, self._loop.time())
                return
            self._endpoint.acknowledge(event.call, answer, self._loop.time())
        finish(self._answered)

    def _answer_offer(self, event: sip.Offered) -> None:
        answer = self._describe("sendrecv") if event.sdp is None else self._accept(event.sdp)
        if answer is None:
            self._endpoint.refuse_offer(event.call, 488, self._loop.time())
        else:
            self._endpoint.answer_offer(event.call, answer, self._loop.time())

    def _over(self, reason: str, error: CallRefused) -> None:
        self._call = None
        self.voice.stop()
        finish(self._answered, error)
        finish(self._changed, error)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)


def _port(transport: asyncio.DatagramTransport) -> int:
    return transport.get_extra_info("sockname")[1]


@functools.cache
def _resolved(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return socket.gethostbyname(host)
