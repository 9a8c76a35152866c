"""Where the time goes, and what it sounds like: from the engine's figures of legs to those of calls and of rooms.

A voice travels: 20 ms are gathered into a packet (and the codec looks ahead), the network takes half its round trip,
the jitter buffer holds it, the tick is waited for, it is decoded and mixed; the mix is encoded, sent, and takes half
the round trip of whoever hears it. `speaking_ms` is the way in, `listening_ms` the way out; mouth to ear is a speaker's
way in and a listener's way out. What their devices add (sound card, their own jitter buffer) nobody tells us.

What was not measured is None, and so is all that is added up of it.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from statistics import median
from typing import Literal

import msgspec

from . import emodel
from .messages import LegStats

PACKET_MS = 20.0
"""What is gathered into one packet."""
LOOK_AHEAD_MS = {"PCMU": 0.0, "PCMA": 0.0, "G722": 1.6, "opus": 6.5}
"""Of the encoder, by encoding name (G.722 section 1; RFC 6716 section 2)."""
COMPARED_MAX = 100
"""Legs of one room that are compared with each other: the pairs of 100 take a few milliseconds."""

Words = Literal["excellent", "good", "fair", "poor", "bad"]
_WORDS: tuple[tuple[float, Words], ...] = (
    (4.2, "excellent"),
    (3.6, "good"),
    (3.0, "fair"),
    (2.0, "poor"),
    (0.0, "bad"),
)


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds."""

    network_ms: float | None
    jitter_buffer_ms: float | None
    tick_wait_ms: float | None
    decode_ms: float | None
    mix_ms: float | None
    encode_ms: float | None
    send_ms: float | None
    speaking_ms: float | None
    listening_ms: float | None


class RoomQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from mouth to ear, over the pairs of a room."""

    median_ms: float | None
    worst_ms: float | None
    worst_speaker: str
    """Leg; empty if nothing is known."""
    worst_listener: str


def delay_of(stats: LegStats) -> Delay:
    network = None if stats.round_trip_ms is None else stats.round_trip_ms / 2.0
    buffer, tick_wait = stats.buffer_ms, stats.tick_wait_ms
    decode, encode = _ms(stats.decode_us), _ms(stats.encode_us)
    mix, send = _ms(stats.mix_us or None), _ms(stats.send_us or None)  # nothing takes no time: no tick has been yet
    gathered = PACKET_MS + LOOK_AHEAD_MS.get(stats.heard_codec or "", 0.0)
    return Delay(
        network_ms=network,
        jitter_buffer_ms=buffer,
        tick_wait_ms=tick_wait,
        decode_ms=decode,
        mix_ms=mix,
        encode_ms=encode,
        send_ms=send,
        # Times of work that is measured in microseconds are left out where they are not measured.
        speaking_ms=_sum(network, buffer, tick_wait, decode or 0.0, gathered),
        listening_ms=_sum(network, mix, encode or 0.0, send),
    )


def compared(legs: Sequence[LegStats]) -> dict[str, Delay]:
    """By leg those that all of one room are compared with: all, or every second, third, ... of them."""
    step = max(1, -(-len(legs) // COMPARED_MAX))
    return {leg.leg: delay_of(leg) for leg in legs[::step]}


def of_room(delays: Mapping[str, Delay]) -> RoomQuality:
    """Of those in one room, see `compared`."""
    ways = [
        (speaking.speaking_ms + listening.listening_ms, speaker, listener)
        for (speaker, speaking), (listener, listening) in product(delays.items(), delays.items())
        if speaker != listener and speaking.speaking_ms is not None and listening.listening_ms is not None
    ]
    if not ways:
        return RoomQuality(median_ms=None, worst_ms=None, worst_speaker="", worst_listener="")
    worst, speaker, listener = max(ways)
    return RoomQuality(
        median_ms=median(way for way, _, _ in ways), worst_ms=worst, worst_speaker=speaker, worst_listener=listener
    )


def mouth_to_ear(leg: LegStats, delays: Mapping[str, Delay]) -> float | None:
    """The median over both directions between this leg and each of the others in its room, see `compared`."""
    mine = delay_of(leg)
    others = [delay for name, delay in delays.items() if name != leg.leg]
    out = [_sum(mine.speaking_ms, theirs.listening_ms) for theirs in others]
    back = [_sum(theirs.speaking_ms, mine.listening_ms) for theirs in others]
    ways = [way for way in (*out, *back) if way is not None]
    return median(ways) if ways else None


def opinion(leg: LegStats, delay_ms: float | None) -> tuple[float, emodel.Model] | None:
    """How those who hear this leg would rate it, by what is lost of what it says: None where loss or delay were not
    measured. Second comes the model, which is that of its codec."""
    codec = leg.heard_codec
    if delay_ms is None or leg.loss_percent is None or codec is None:
        return None
    score = emodel.opinion(codec, leg.loss_percent, delay_ms)
    return None if score is None else (score, emodel.CODECS[codec].scale.model)


def opinions_in_room(legs: Sequence[LegStats], delay_ms: float | None) -> tuple[list[float], emodel.Model | None]:
    """The same of each of those in one room that is known, all on the scale of the widest of their codecs: only so can
    they be compared. Second comes its model, None if there is no score."""
    heard = [(leg.heard_codec, leg.loss_percent) for leg in legs if leg.heard_codec is not None]
    scale = emodel.widest(codec for codec, _ in heard)
    if scale is None or delay_ms is None:
        return [], None
    known = [(codec, loss) for codec, loss in heard if loss is not None]
    scores = [score for codec, loss in known if (score := emodel.opinion(codec, loss, delay_ms, scale)) is not None]
    return scores, scale.model if scores else None


def words(score: float) -> Words:
    """For people who know no scales. 4.2 is what narrowband without any impairment but its bandwidth comes near to."""
    return next(word for least, word in _WORDS if score >= least)


def _ms(us: float | None) -> float | None:
    return None if us is None else us / 1000.0


def _sum(*parts: float | None) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
