"""RTP for a virtual phone (RFC 3550), sans-I/O: packets to send, and what came as sound on a timeline.

The receiver puts each packet where its timestamp says, so what is lost is a hole of silence and what comes late is
still in its place. A phone's ear would have played some of that too late; the statistics tell how much.
"""

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import g711
from .tones import QUIETEST_DBFS, RATE_HZ, Pcm, onset_s, silence

FRAME_SAMPLES = 160
FRAME_S = FRAME_SAMPLES / RATE_HZ
STATIC_TYPES = {0: "PCMU", 8: "PCMA"}
TELEPHONE_EVENT = 101
DIGITS = "0123456789*#ABCD"
"""By their RFC 4733 event code."""
HEARD_S_MAX = 900
"""Sound beyond this is counted, not kept."""
GAP_S = 0.1
"""A pause between two packets that a listener would notice."""
JUMP_SAMPLES = 10 * RATE_HZ
"""A timestamp further away than this belongs to another stream: it goes on where its arrival puts it."""
WINDOW = 1024
"""Packets that are older than this many are not told from duplicates any more."""
MEASURED_MAX = 180_000
"""Delays that are kept: an hour of packets."""
_HEADER = struct.Struct("!BBHII")
_EVENT = struct.Struct("!BBH")


@dataclass(frozen=True)
class Packet:
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse(data: bytes) -> Packet | None:
    """None if it is no RTP packet of version 2 (RTCP that shares the port is none either, RFC 5761)."""
    if len(data) < _HEADER.size:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    start = _HEADER.size + 4 * (first & 15)
    if first >> 6 != 2 or 192 <= second <= 223 or len(data) < start:
        return None
    if first & 0x10:
        if len(data) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    end = len(data) - (data[-1] if first & 0x20 else 0)
    if start > end:
        return None
    return Packet(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[start:end])


@dataclass
class RtpSender:
    """Makes the packets of one stream. `advance` moves its clock by a frame, whether a packet is sent or not."""

    ssrc: int
    sequence: int = 1000
    timestamp: int = 0
    sent: int = 0

    def packet(self, payload_type: int, payload: bytes, marker: bool = False, timestamp: int | None = None) -> bytes:
        stamp = self.timestamp if timestamp is None else timestamp
        second = payload_type | (0x80 if marker else 0)
        header = _HEADER.pack(0x80, second, self.sequence, stamp & 0xFFFFFFFF, self.ssrc)
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.sent += 1
        return header + payload

    def advance(self, samples: int = FRAME_SAMPLES) -> None:
        self.timestamp = (self.timestamp + samples) & 0xFFFFFFFF


def digit_payloads(digit: str, duration_ms: int = 100, volume: int = 10) -> Iterator[tuple[bytes, bool]]:
    """RFC 4733 payloads of one key, one for each 20 ms, the end three times; and whether it is the first."""
    event = DIGITS.index(digit)
    frames = max(1, duration_ms // 20)
    for frame in range(1, frames + 1):
        yield _EVENT.pack(event, volume, frame * FRAME_SAMPLES), frame == 1
    for _ in range(3):
        yield _EVENT.pack(event, 0x80 | volume, frames * FRAME_SAMPLES), False


@dataclass(frozen=True)
class Heard:
    """Sound as it came. Sample `i` was in a packet that arrived at `started + i / 8000`, if the network was even."""

    pcm: Pcm
    started: float

    def last(self, seconds: float) -> Pcm:
        return self.pcm[max(0, len(self.pcm) - round(seconds * RATE_HZ)) :]

    def between(self, start: float, end: float) -> Pcm:
        """What arrived between two times of the caller's clock."""
        first = max(0, round((start - self.started) * RATE_HZ))
        return self.pcm[first : max(first, round((end - self.started) * RATE_HZ))]

    def began(self, since: float, threshold_dbfs: float = QUIETEST_DBFS) -> float | None:
        """When sound is first heard after `since`, None if not."""
        first = max(0, round((since - self.started) * RATE_HZ))
        onset = onset_s(self.pcm[first:], threshold_dbfs)
        return None if onset is None else self.started + first / RATE_HZ + onset


@dataclass(frozen=True)
class Reception:
    """How well the packets came."""

    packets: int
    lost: int
    """By their sequence numbers (RFC 3550 A.3)."""
    duplicates: int
    gaps: int
    """Pauses of more than 100 ms between two packets."""
    longest_gap_ms: float
    delay_ms_p50: float
    """How much later than the quickest packet of their stream packets came."""
    delay_ms_p99: float
    jitter_ms: float
    """RFC 3550 A.8."""
    malformed: int
    beyond_memory: int


@dataclass
class RtpReceiver:
    """Takes packets of any sender; a new SSRC continues the timeline where its arrival puts it."""

    codecs: dict[int, str] = field(default_factory=lambda: dict(STATIC_TYPES))
    """Codec by payload type."""
    telephone_event: int = TELEPHONE_EVENT
    digits: str = ""
    """Keys that came by RFC 4733."""
    _pcm: Pcm = field(default_factory=lambda: array("h"))
    _started: float | None = None
    _ssrc: int | None = None
    _base: int = 0
    """Timestamp, extended, of sample 0 of the timeline."""
    _last_timestamp: int = 0
    _first_sequence: int = 0
    _highest_sequence: int = 0
    _seen: set[int] = field(default_factory=set[int])
    _distinct: int = 0
    _digit_timestamp: int | None = None
    _last_arrival: float | None = None
    _packets: int = 0
    _lost_before: int = 0
    _duplicates: int = 0
    _gaps: list[float] = field(default_factory=list[float])
    _transits: list[float] = field(default_factory=list[float])
    _delays: list[float] = field(default_factory=list[float])
    _jitter: float = 0.0
    _malformed: int = 0
    _beyond_memory: int = 0

    def receive(self, data: bytes, now: float) -> None:
        packet = parse(data)
        if packet is None:
            self._malformed += 1
            return
        if self._last_arrival is not None and now - self._last_arrival > GAP_S:
            self._gaps.append(now - self._last_arrival)
        self._last_arrival = now
        self._packets += 1
        if self._started is None:
            self._started = now
        if packet.ssrc != self._ssrc or abs(_wrapped(packet.timestamp - self._last_timestamp, 32)) > JUMP_SAMPLES:
            self._begin_stream(packet, now)
        sequence = self._highest_sequence + _wrapped(packet.sequence - self._highest_sequence, 16)
        if sequence in self._seen:
            self._duplicates += 1
            return
        self._seen.add(sequence)
        self._distinct += 1
        self._highest_sequence = max(self._highest_sequence, sequence)
        if len(self._seen) > 2 * WINDOW:
            self._seen = {seen for seen in self._seen if seen > self._highest_sequence - WINDOW}
        self._first_sequence = min(self._first_sequence, sequence)
        timestamp = self._last_timestamp + _wrapped(packet.timestamp - self._last_timestamp, 32)
        if packet.payload_type == self.telephone_event:
            self._hear_digit(packet)
        elif (codec := self.codecs.get(packet.payload_type)) is not None:
            self._measure(timestamp, now)
            self._hear(g711.decode(codec, packet.payload), timestamp - self._base)
        else:
            self._malformed += 1
        self._last_timestamp = max(self._last_timestamp, timestamp)

    def heard(self) -> Heard:
        """Everything so far."""
        return Heard(self._pcm[:], self._started or 0.0)

    def reception(self) -> Reception:
        self._settle_delays()
        delays = sorted(self._delays)
        return Reception(
            packets=self._packets,
            lost=self._lost_before + self._lost_now(),
            duplicates=self._duplicates,
            gaps=len(self._gaps),
            longest_gap_ms=1000 * max(self._gaps, default=0.0),
            delay_ms_p50=1000 * _percentile(delays, 0.5),
            delay_ms_p99=1000 * _percentile(delays, 0.99),
            jitter_ms=1000 * self._jitter,
            malformed=self._malformed,
            beyond_memory=self._beyond_memory,
        )

    # --- Inside

    def _begin_stream(self, packet: Packet, now: float) -> None:
        assert self._started is not None
        self._settle_delays()
        self._lost_before += self._lost_now()
        self._ssrc = packet.ssrc
        self._seen = set()
        self._distinct = 0
        self._first_sequence = self._highest_sequence = packet.sequence
        self._last_timestamp = packet.timestamp
        position = max(round((now - self._started) * RATE_HZ), 0)
        self._base = packet.timestamp - position

    def _lost_now(self) -> int:
        expected = self._highest_sequence - self._first_sequence + 1 if self._distinct else 0
        return max(0, expected - self._distinct)

    def _measure(self, timestamp: int, now: float) -> None:
        transit = now - timestamp / RATE_HZ
        if self._transits:
            self._jitter += (abs(transit - self._transits[-1]) - self._jitter) / 16
        if len(self._transits) + len(self._delays) < MEASURED_MAX:
            self._transits.append(transit)

    def _settle_delays(self) -> None:
        if self._transits:
            quickest = min(self._transits)
            self._delays += [transit - quickest for transit in self._transits]
            self._transits = []

    def _hear(self, sound: Pcm, position: int) -> None:
        if position < 0 or position + len(sound) > HEARD_S_MAX * RATE_HZ:
            self._beyond_memory += 1
            return
        if position > len(self._pcm):
            self._pcm.extend(silence((position - len(self._pcm)) / RATE_HZ))
        self._pcm[position : position + len(sound)] = sound

    def _hear_digit(self, packet: Packet) -> None:
        """A key counts once, at the first packet with its timestamp (RFC 4733 section 2.5.2.2)."""
        if len(packet.payload) < _EVENT.size:
            self._malformed += 1
            return
        event, _, _ = _EVENT.unpack_from(packet.payload)
        if packet.timestamp != self._digit_timestamp and event < len(DIGITS):
            self._digit_timestamp = packet.timestamp
            self.digits += DIGITS[event]


def _wrapped(difference: int, bits: int) -> int:
    """The difference of two counters of so many bits, nearest to zero."""
    half = 1 << bits - 1
    return (difference + half) % (1 << bits) - half


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
