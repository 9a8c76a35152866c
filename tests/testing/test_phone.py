"""Two virtual phones on the line with each other, on loopback in real time."""

import asyncio
import time
from pathlib import Path

import pytest

from plenary.testing import CallRefused, NotInCall, Phone, tone, tones_in

SCALE = [440, 650]


async def test_two_phones_hear_each_other():
    async with Phone("ann") as ann, Phone("bob", answers=True) as bob:
        await ann.call(bob.uri)
        ann.say(440)
        bob.say(650)
        await asyncio.sleep(0.6)
        assert tones_in(ann.heard().last(0.4), SCALE) == {650}
        assert tones_in(bob.heard().last(0.4), SCALE) == {440}
        assert ann.said_at is not None
        began = bob.heard().began(ann.said_at - 0.1)
        assert began is not None
        assert abs(began - ann.said_at) < 0.02
        await ann.hang_up()
        assert await bob.ended == "bye"
        assert bob.reception.lost == 0
        assert not bob.in_call


async def test_keys_are_heard_as_keys_and_in_order():
    async with Phone("ann") as ann, Phone("bob", answers=True) as bob:
        await ann.call(bob.uri)
        await ann.press("12#", duration_ms=40)
        await asyncio.sleep(0.05)
        assert bob.voice.digits == "12#"


async def test_keys_can_go_by_info():
    async with Phone("ann") as ann, Phone("bob", answers=True) as bob:
        await ann.call(bob.uri)
        await ann.press("12#", duration_ms=20, by_info=True)
        await asyncio.sleep(0.05)
        assert bob.digits == "12#"
        assert bob.voice.digits == ""


@pytest.mark.parametrize("offers", [True, False], ids=["early offer", "late offer"])
@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
async def test_a_call_is_answered_by_hand(codec: str, offers: bool):
    async with Phone("ann", codecs=(codec,), offers=offers) as ann, Phone("bob") as bob:
        calling = asyncio.ensure_future(ann.call(bob.uri))
        await bob.answer()
        await calling
        ann.say(tone(440, 0.2))
        await asyncio.sleep(0.3)
        assert tones_in(bob.heard().last(0.3), SCALE) == {440}


async def test_a_refused_call_says_why():
    async with Phone("ann") as ann, Phone("bob") as bob:
        answered = ann.dial(bob.uri)
        await bob.ringing.wait()
        bob.refuse(486)
        with pytest.raises(CallRefused, match="486"):
            await answered
        assert await ann.ended == "refused"


async def test_a_busy_phone_refuses_a_second_call():
    async with Phone("ann") as ann, Phone("bob", answers=True) as bob, Phone("eve") as eve:
        await ann.call(bob.uri)
        with pytest.raises(CallRefused, match="486"):
            await eve.call(bob.uri)


async def test_giving_up_before_the_answer_cancels():
    """RFC 3261 section 9."""
    async with Phone("ann") as ann, Phone("bob") as bob:
        answered = ann.dial(bob.uri)
        await bob.ringing.wait()
        answered.cancel()
        assert await bob.ended == "cancel"


async def test_hold_silences_and_resume_brings_back():
    """RFC 3264 section 8.4."""
    async with Phone("ann") as ann, Phone("bob", answers=True) as bob:
        await ann.call(bob.uri)
        bob.say(650)
        await ann.hold()
        assert (ann.direction, bob.direction) == ("sendonly", "recvonly")
        await asyncio.sleep(0.05)
        packets = ann.reception.packets
        await asyncio.sleep(0.1)
        assert ann.reception.packets == packets
        await ann.resume()
        await asyncio.sleep(0.2)
        assert (ann.direction, bob.direction) == ("sendrecv", "sendrecv")
        assert tones_in(ann.heard().last(0.1), SCALE) == {650}


async def test_a_phone_without_a_call_can_do_nothing_with_it(tmp_path: Path):
    async with Phone("ann") as ann:
        with pytest.raises(NotInCall):
            await ann.press("1")
        with pytest.raises(NotInCall):
            await ann.hold()
        with pytest.raises(FileNotFoundError):
            ann.say(tmp_path / "none.wav")


async def test_sound_keeps_its_pace():
    """Packets leave every 20 ms on the whole, whatever the loop's timers do."""
    async with Phone("ann") as ann, Phone("bob", answers=True) as bob:
        await ann.call(bob.uri)
        start, sent = time.monotonic(), ann.voice.packets_sent
        await asyncio.sleep(0.5)
        expected = (time.monotonic() - start) / 0.02
        assert abs(ann.voice.packets_sent - sent - expected) <= 2
