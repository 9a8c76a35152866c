"""The phone's ear: where packets land on the timeline, and what is counted."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plenary.testing import silence, tone, tones_in
from plenary.testing.g711 import encode
from plenary.testing.rtp import (
    FRAME_S,
    FRAME_SAMPLES,
    TELEPHONE_EVENT,
    RtpReceiver,
    RtpSender,
    digit_payloads,
    parse,
)
from plenary.testing.tones import Pcm


def packets(sound: Pcm, sender: RtpSender | None = None) -> list[bytes]:
    sender = sender or RtpSender(ssrc=1)
    made: list[bytes] = []
    for at in range(0, len(sound), FRAME_SAMPLES):
        made.append(sender.packet(0, encode("PCMU", sound[at : at + FRAME_SAMPLES])))
        sender.advance()
    return made


def hear(receiver: RtpReceiver, sent: list[bytes], start: float = 0.0) -> None:
    for index, packet in enumerate(sent):
        receiver.receive(packet, start + index * FRAME_S)


def test_what_is_said_is_heard():
    receiver = RtpReceiver()
    hear(receiver, packets(tone(440, 0.5)), start=100.0)
    heard = receiver.heard()
    assert len(heard.pcm) == 4000
    assert heard.started == 100.0
    assert tones_in(heard.pcm, [440, 650]) == {440}


def test_a_lost_packet_is_a_hole_of_its_length_and_counted():
    """RFC 3550 A.3: expected by sequence number, minus received."""
    receiver = RtpReceiver()
    sent = packets(tone(440, 0.2))
    hear(receiver, sent[:4] + sent[6:])
    assert receiver.reception().lost == 2
    assert receiver.heard().pcm[4 * 160 : 6 * 160] == silence(0.04)
    assert len(receiver.heard().pcm) == 1600


@pytest.mark.parametrize(("order", "duplicates"), [([0, 2, 1, 3], 0), ([0, 1, 1, 2, 3], 1)])
def test_order_and_repetition_change_nothing_of_what_is_heard(order: list[int], duplicates: int):
    sent = packets(tone(440, 0.08))
    straight, shuffled = RtpReceiver(), RtpReceiver()
    hear(straight, sent)
    hear(shuffled, [sent[index] for index in order])
    assert shuffled.heard().pcm == straight.heard().pcm
    assert shuffled.reception().duplicates == duplicates
    assert shuffled.reception().lost == 0


def test_counters_wrap_without_a_gap():
    """16 bits of sequence number, 32 of timestamp (RFC 3550 section 5.1)."""
    receiver = RtpReceiver()
    hear(receiver, packets(tone(440, 1.0), RtpSender(ssrc=1, sequence=65_530, timestamp=0xFFFFFFFF - 800)))
    assert len(receiver.heard().pcm) == 8000
    assert receiver.reception().lost == 0


def test_another_stream_goes_on_where_it_arrives():
    receiver = RtpReceiver()
    hear(receiver, packets(tone(440, 0.1)))
    hear(receiver, packets(tone(650, 0.1), RtpSender(ssrc=2, sequence=7, timestamp=12_345)), start=0.5)
    assert len(receiver.heard().pcm) == 8000 * 0.6
    assert tones_in(receiver.heard().between(0.5, 0.6), [440, 650]) == {650}
    assert receiver.reception().lost == 0


def test_a_long_pause_is_a_gap():
    receiver = RtpReceiver()
    sent = packets(tone(440, 0.2))
    hear(receiver, sent[:5])
    hear(receiver, sent[5:], start=0.5)
    assert receiver.reception().gaps == 1
    assert receiver.reception().longest_gap_ms == pytest.approx(420)


def test_delay_is_measured_against_the_quickest_packet():
    receiver = RtpReceiver()
    for index, packet in enumerate(packets(tone(440, 2.0))):
        receiver.receive(packet, index * FRAME_S + (0.030 if index % 50 == 49 else 0.0))
    assert receiver.reception().delay_ms_p50 == pytest.approx(0.0, abs=1e-6)
    assert receiver.reception().delay_ms_p99 == pytest.approx(30.0)


def test_a_key_counts_once_however_many_packets_tell_of_it():
    """RFC 4733 section 2.5: updates and three ends share the timestamp of the beginning."""
    sender, receiver = RtpSender(ssrc=1), RtpReceiver()
    for digit in "11#":
        start = sender.timestamp
        for payload, first in digit_payloads(digit, 100):
            receiver.receive(sender.packet(TELEPHONE_EVENT, payload, first, start), sender.timestamp / 8000)
            sender.advance()
    assert receiver.digits == "11#"


@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_none(data: bytes):
    packet = parse(data)
    assert packet is None or len(packet.payload) <= len(data) - 12


def test_an_empty_ear_has_heard_nothing():
    assert RtpReceiver().heard().pcm == array("h")
    assert RtpReceiver().reception().lost == 0
