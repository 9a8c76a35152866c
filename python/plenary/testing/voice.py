"""What a virtual phone says and hears: one RTP socket, real packets in real time."""

import asyncio
import secrets
import wave
from array import array
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Self

from . import g711, sdp
from .rtp import FRAME_S, FRAME_SAMPLES, TELEPHONE_EVENT, Heard, Reception, RtpReceiver, RtpSender
from .rtp import digit_payloads as key_payloads
from .sdp import Media
from .tones import RATE_HZ, Pcm, tone

KEY_PAUSE_FRAMES = 5
"""Silence between two keys: 100 ms."""
CATCH_UP_S = 0.5
"""A phone that could not run for longer than this does not send what it missed."""
_SILENCE = array("h", bytes(2 * FRAME_SAMPLES))


class PhoneError(Exception):
    """A phone cannot do what it was asked to.

    PhoneError
    ├── CallRefused    the peer's: the call, or the change of it, was refused
    └── NotInCall      the test's: there is no call to do that with
    """


class NotInCall(PhoneError):
    """There is no call to do that with."""


class Voice:
    """Sends a packet every 20 ms once `use` was told where to, of silence where it has nothing to say."""

    def __init__(self, transport: asyncio.DatagramTransport, host: str) -> None:
        self.said_at: float | None = None
        """When the first packet of what was last said has left."""
        self.direction = "inactive"
        """What this side may do, by the last offer and answer (RFC 3264)."""
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._host = host
        self._peer: Media | None = None
        self._codec = "PCMU"
        self._sender = RtpSender(secrets.randbits(32))
        self._receiver = RtpReceiver()
        self._voice: Pcm = array("h")
        self._voice_at = 0
        self._voice_loops = False
        self._voice_done: asyncio.Future[None] | None = None
        self._keys: deque[tuple[bytes, bool] | None] = deque()
        self._key_timestamp = 0
        self._keys_done: asyncio.Future[None] | None = None
        self._tick_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, host: str = "127.0.0.1") -> Self:
        loop = asyncio.get_running_loop()
        packets = Packets()
        transport, _ = await loop.create_datagram_endpoint(lambda: packets, local_addr=(host, 0))
        voice = cls(transport, host)
        packets.on_packet = voice.hear
        return voice

    def close(self) -> None:
        self.stop()
        self._transport.close()

    # --- Negotiation

    @property
    def address(self) -> tuple[str, int]:
        return self._host, self._transport.get_extra_info("sockname")[1]

    @property
    def peer_address(self) -> tuple[str, int]:
        """Where it sends to."""
        if self._peer is None:
            raise NotInCall("nobody has told where to send sound")
        return self._peer.host, self._peer.port

    def media(self, codecs: tuple[str, ...] = ("PCMU", "PCMA"), direction: str = "sendrecv") -> Media:
        """What it offers."""
        return Media(*self.address, codecs, TELEPHONE_EVENT, direction)

    def use(self, peer: Media, codec: str, telephone_event: int = TELEPHONE_EVENT) -> None:
        """Sends to `peer` in `codec` from now on; keys of the peer come as `telephone_event`."""
        self._peer, self._codec = peer, codec
        self._receiver.telephone_event = telephone_event
        self.direction = sdp.MIRRORED[peer.direction]
        if self._tick_at is None:
            self._tick_at = self._loop.time()
            self._tick()

    def stop(self) -> None:
        """Sends nothing any more."""
        self._peer = self._tick_at = None
        self.direction = "inactive"
        if self._timer is not None:
            self._timer.cancel()
        self._keys.clear()
        finish(self._keys_done)

    def forget(self) -> None:
        """A new call: nothing was heard yet."""
        self._receiver = RtpReceiver()

    # --- Sound

    def say(self, sound: "Pcm | float | Path", loop: bool = False) -> "asyncio.Future[None]":
        """Says it from the next packet on, in place of what it said before; the future is done when it is said.

        `sound`: samples at 8 kHz, a WAV file of such, or a whole number of Hz for a tone without end.
        """
        if isinstance(sound, Path):
            self._voice, self._voice_loops = read_wav(sound), loop
        elif isinstance(sound, int | float):
            self._voice, self._voice_loops = tone(sound, 1.0), True
        else:
            self._voice, self._voice_loops = sound, loop
        self._voice_at, self.said_at = 0, None
        finish(self._voice_done)
        self._voice_done = self._loop.create_future()
        return self._voice_done

    def be_quiet(self) -> None:
        """Says nothing any more, but sends packets of silence."""
        self.say(array("h"))

    async def press(self, digits: str, duration_ms: int = 100) -> None:
        """Presses keys one after the other (RFC 4733); returns when they are sent."""
        if self._peer is None or self._peer.telephone_event is None:
            raise NotInCall("nobody here takes keys by RTP")
        for digit in digits:
            self._keys.extend(key_payloads(digit, duration_ms))
            self._keys.extend([None] * KEY_PAUSE_FRAMES)
        self._keys_done = self._loop.create_future()
        await self._keys_done

    def heard(self) -> Heard:
        """All that was heard in this call."""
        return self._receiver.heard()

    @property
    def digits(self) -> str:
        """Keys that came by RTP."""
        return self._receiver.digits

    @property
    def reception(self) -> Reception:
        """How well the packets came."""
        return self._receiver.reception()

    @property
    def packets_sent(self) -> int:
        return self._sender.sent

    # --- Packets

    def send_raw(self, data: bytes) -> None:
        """Sends these bytes to the peer as they are, from the address that the voice comes from."""
        self._transport.sendto(data, self.peer_address)

    def hear(self, data: bytes, source: tuple[str, int]) -> None:
        """A packet came, from anywhere: a phone that looks closer would hide what its server does wrong."""
        del source
        self._receiver.receive(data, self._loop.time())

    def _tick(self) -> None:
        """Sends one packet, and comes again 20 ms after it should have come."""
        if self._tick_at is None:
            return
        if self.direction in ("sendrecv", "sendonly") and self._peer is not None:
            self._send_frame(self._peer)
        self._sender.advance()
        self._tick_at += FRAME_S
        if self._loop.time() - self._tick_at > CATCH_UP_S:
            self._tick_at = self._loop.time()
        self._timer = self._loop.call_at(self._tick_at, self._tick)

    def _send_frame(self, peer: Media) -> None:
        key = self._keys.popleft() if self._keys else None
        if key is not None and peer.telephone_event is not None:
            payload, first = key
            self._key_timestamp = self._sender.timestamp if first else self._key_timestamp
            packet = self._sender.packet(peer.telephone_event, payload, first, self._key_timestamp)
        else:
            if not self._keys:
                finish(self._keys_done)
            packet = self._sender.packet(sdp.TYPES[self._codec], g711.encode(self._codec, self._next_frame()))
        self._transport.sendto(packet, (peer.host, peer.port))

    def _next_frame(self) -> Pcm:
        if not self._voice:
            finish(self._voice_done)
            return _SILENCE
        if self.said_at is None:
            self.said_at = self._loop.time()
        frame = self._voice[self._voice_at : self._voice_at + FRAME_SAMPLES]
        self._voice_at += FRAME_SAMPLES
        if len(frame) < FRAME_SAMPLES:
            if self._voice_loops:
                self._voice_at = FRAME_SAMPLES - len(frame)
                frame += self._voice[: self._voice_at]
            else:
                self._voice = array("h")
                finish(self._voice_done)
            frame += _SILENCE[len(frame) :]
        return frame


class Packets(asyncio.DatagramProtocol):
    """Hands each datagram to `on_packet`, once there is one."""

    def __init__(self, on_packet: Callable[[bytes, tuple[str, int]], None] | None = None) -> None:
        self.on_packet = on_packet

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.on_packet is not None:
            self.on_packet(data, addr[:2])


def read_wav(path: Path) -> Pcm:
    """The samples of a WAV file. Raises PhoneError unless it is mono, 8 kHz, 16 bit; OSError if it can't be read."""
    try:
        with wave.open(str(path), "rb") as file:
            form = (file.getnchannels(), file.getframerate(), file.getsampwidth())
            samples = array("h", file.readframes(file.getnframes())) if form == (1, RATE_HZ, 2) else None
    except (wave.Error, EOFError):
        samples = None
    if samples is None:
        made = f"sox {path} -r {RATE_HZ} -c 1 -b 16 say.wav"
        raise PhoneError(f"{path} is no WAV file of one channel, {RATE_HZ} Hz, 16 bit; {made} makes one of it")
    return samples


def finish(future: "asyncio.Future[None] | None", error: Exception | None = None) -> None:
    """Ends a wait, if somebody waits and it is not over."""
    if future is None or future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        future.exception()  # who does not wait for it need not hear of it
