"""Who hears whom, told by tones: virtual phones talk G.711 through the native engine, in real time.

The scenarios run side by side, each in a room of its own; the tests then look at what became of each. How soon all this
is so, only simulated time can tell: `rust/media/tests`.
"""

import asyncio
import socket
import wave
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from stages import Caller, Scenario, Stage, run_all

from plenary.media import messages as wire
from plenary.testing import level_dbfs, tone, tones_in
from plenary.testing.engine import has_native_engine
from plenary.testing.g711 import encode
from plenary.testing.rtp import FRAME_S, RtpSender
from plenary.testing.tones import RATE_HZ, Pcm, steepest_step

SCALE = [440, 650, 910, 1170]
"""Hz, none a multiple of another."""
SCENARIOS: dict[str, Scenario] = {}
LISTEN_S = 0.5
SETTLE_S = 0.15
"""Until what was under way has come."""
TRIES = 4


def scenario(run: Scenario) -> Scenario:
    SCENARIOS[run.__name__] = run
    return run


async def until(holds: Callable[[], bool], what: Callable[[], object]) -> None:
    """A machine that is busy gets some time."""
    for _ in range(TRIES):
        if holds():
            return
        await asyncio.sleep(LISTEN_S)
    assert holds(), what()


async def hears(caller: Caller, *tones: float, seconds: float = LISTEN_S) -> None:
    """Returns when these tones of `SCALE`, and no others, have been heard for some time from now on."""
    await asyncio.sleep(SETTLE_S + seconds)
    heard = lambda: tones_in(caller.voice.heard().last(seconds - 0.05), SCALE)  # noqa: E731
    await until(lambda: heard() == set(tones), lambda: f"{caller.leg} hears {heard()} and not {tones}")


async def all_hear(callers: Iterable[Caller], tones: Iterable[set[float]]) -> None:
    await asyncio.gather(*(hears(caller, *those) for caller, those in zip(callers, tones, strict=True)))


def wav(path: Path) -> Pcm:
    """The samples of a recording; the header must be right about its size."""
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, RATE_HZ, 2)
        frames = file.readframes(file.getnframes())
        assert len(frames) == 2 * file.getnframes()
        assert 44 + len(frames) <= path.stat().st_size
    return array("h", frames)


@scenario
async def everyone_hears_all_but_himself(stage: Stage) -> None:
    callers = await stage.callers(["PCMU", "PCMA", "PCMU", "PCMA"])
    for caller, frequency in zip(callers, SCALE, strict=True):
        caller.voice.say(frequency)
    await all_hear(callers, [set(SCALE) - {own} for own in SCALE])


@scenario
async def a_tone_keeps_its_level_through_the_engine(stage: Stage) -> None:
    ann, bob = await stage.callers(["PCMU", "PCMU"])
    ann.voice.say(440)
    await asyncio.sleep(1.0)
    level = lambda: level_dbfs(bob.voice.heard().last(0.5))  # noqa: E731
    await until(lambda: level() == pytest.approx(-16.0, abs=0.5), level)


@scenario
async def who_is_muted_for_all_is_heard_by_nobody_until_unmuted(stage: Stage) -> None:
    callers = ann, bob, eve = await stage.callers(["PCMU", "PCMU", "PCMU"])
    for caller, frequency in zip(callers, SCALE, strict=False):
        caller.voice.say(frequency)
    others = [bob, eve]
    stage.client.send(*(wire.SetGain(room=stage.room, listener=o.leg, speaker=ann.leg, gain=0) for o in others))
    await all_hear(callers, [{650, 910}, {910}, {650}])
    stage.client.send(*(wire.SetGain(room=stage.room, listener=o.leg, speaker=ann.leg, gain=1) for o in others))
    await all_hear(callers, [{650, 910}, {440, 910}, {440, 650}])


@scenario
async def who_is_deaf_hears_nobody_and_is_heard(stage: Stage) -> None:
    callers = ann, _ = await stage.callers(["PCMU", "PCMU"])
    for caller, frequency in zip(callers, SCALE, strict=False):
        caller.voice.say(frequency)
    stage.client.send(wire.SetGain(room=stage.room, listener=ann.leg, speaker=None, gain=0))
    await all_hear(callers, [set(), {440}])


@scenario
async def a_prompt_replaces_the_room_for_one_and_the_others_hear_on(stage: Stage) -> None:
    callers = ann, bob = await stage.callers(["PCMU", "PCMA"])
    for caller, frequency in zip(callers, SCALE, strict=False):
        caller.voice.say(frequency)
    stage.client.send(
        wire.LoadPrompt(prompt="beep", pcm=tone(1170, 3.0).tobytes()),
        wire.Play(leg=ann.leg, play="p", prompt="beep"),
    )
    await all_hear([ann, bob], [{1170}, {440}])
    assert (await stage.client.expect(wire.PlayEnded, leg=ann.leg)).reason == "finished"
    await hears(ann, 650)


@scenario
async def a_loop_plays_until_it_is_stopped(stage: Stage) -> None:
    ann = await stage.caller(joins=False)
    stage.client.send(
        wire.LoadPrompt(prompt="loop", pcm=tone(910, 0.2).tobytes()),
        wire.Play(leg=ann.leg, play="p", prompt="loop", loop=True),
    )
    await hears(ann, 910, seconds=0.8)
    stage.client.send(wire.StopPlay(leg=ann.leg, play="p"))
    await stage.client.expect(wire.PlayEnded, leg=ann.leg)
    await hears(ann, seconds=0.3)


@scenario
async def who_holds_neither_hears_nor_is_heard_and_comes_back(stage: Stage) -> None:
    """RFC 3264 section 8.4."""
    ann, bob = await stage.callers(["PCMU", "PCMU"])
    ann.voice.say(440)
    bob.voice.say(650)
    await ann.offer("sendonly")
    await asyncio.sleep(0.1)
    packets = ann.voice.reception.packets
    await hears(bob)
    assert ann.voice.reception.packets == packets
    await ann.offer("sendrecv")
    await all_hear([ann, bob], [{650}, {440}])


@scenario
async def keys_go_both_ways(stage: Stage) -> None:
    """RFC 4733: one event a key, however many packets tell of it; not as sound into the room."""
    ann, bob = await stage.callers(["PCMU", "PCMU"])
    stage.client.send(wire.SendDigits(leg=bob.leg, digits="42"))
    await ann.voice.press("19*#", duration_ms=80)
    pressed = [await stage.client.expect(wire.Digit, leg=ann.leg) for _ in range(4)]
    assert "".join(event.digit for event in pressed) == "19*#"
    assert all(60 <= event.duration_ms <= 100 for event in pressed)
    await stage.client.expect(wire.DigitsSent, leg=bob.leg)
    await asyncio.sleep(0.1)
    assert bob.voice.digits == "42"
    assert tones_in(bob.voice.heard().pcm, [697, 770, 852, 941, 1209, 1336, 1477]) == set()


@scenario
async def a_stranger_is_neither_heard_nor_answered(stage: Stage) -> None:
    ann, bob = await stage.callers(["PCMU", "PCMU"])
    ann.voice.say(440)
    await asyncio.sleep(0.3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.setblocking(False)
        sender, payload = RtpSender(ssrc=666), encode("PCMU", tone(910, FRAME_S))
        before = len(bob.voice.heard().pcm)
        for _ in range(40):
            stranger.sendto(sender.packet(0, payload), ann.voice.peer_address)
            sender.advance()
            await asyncio.sleep(FRAME_S)
        await hears(bob, 440)
        assert tones_in(bob.voice.heard().pcm[before:], SCALE) == {440}
        with pytest.raises(BlockingIOError):
            stranger.recv(2048)
    stage.client.send(wire.GetStats(request=stage.room))
    stats = await stage.client.expect(wire.Stats, request=stage.room)
    (of_ann,) = [leg for leg in stats.legs if leg.leg == ann.leg]
    assert of_ann.strangers == 40


@scenario
async def a_recording_has_everyone_and_is_a_valid_file_while_it_runs(stage: Stage) -> None:
    path = stage.folder / "all.wav"
    callers = await stage.callers(["PCMU", "PCMA", "PCMU"])
    for caller, frequency in zip(callers, SCALE, strict=False):
        caller.voice.say(frequency)
    stage.client.send(wire.StartRecording(recording="all", room=stage.room, path=str(path)))
    await stage.client.expect(wire.RecordingStarted, recording="all")
    await asyncio.sleep(1.5)
    running = wav(path)
    assert len(running) >= 0.5 * RATE_HZ
    assert tones_in(running[-4000:], SCALE) == {440, 650, 910}
    stage.client.send(wire.StopRecording(recording="all"))
    ended = await stage.client.expect(wire.RecordingEnded, recording="all")
    assert len(wav(path)) * 1000 == ended.duration_ms * RATE_HZ
    assert path.stat().st_size == ended.bytes


@scenario
async def a_recording_of_a_leg_has_both_directions(stage: Stage) -> None:
    path = stage.folder / "leg.wav"
    ann, bob, eve = await stage.callers(["PCMU", "PCMU", "PCMU"])
    for caller, frequency in zip([ann, bob, eve], SCALE, strict=False):
        caller.voice.say(frequency)
    stage.client.send(
        wire.SetGain(room=stage.room, listener=ann.leg, speaker=eve.leg, gain=0),
        wire.StartRecording(recording="leg", leg=ann.leg, path=str(path), max_duration_ms=800),
    )
    assert (await stage.client.expect(wire.RecordingEnded, recording="leg")).reason == "duration"
    assert tones_in(wav(path)[-4000:], SCALE) == {440, 650}


@scenario
async def who_leaves_is_not_heard_and_hears_silence(stage: Stage) -> None:
    ann, bob, eve = await stage.callers(["PCMU", "PCMU", "PCMU"])
    for caller, frequency in zip([ann, bob, eve], SCALE, strict=False):
        caller.voice.say(frequency)
    stage.client.send(wire.Leave(leg=ann.leg))
    await all_hear([ann, bob, eve], [set(), {910}, {650}])


@scenario
async def nobody_hears_a_click_when_somebody_joins_speaks_and_leaves(stage: Stage) -> None:
    """A tone cut anywhere would step by up to its amplitude; the engine ramps."""
    ann, bob = await stage.callers(["PCMU", "PCMU"])
    bob.voice.say(440)
    await asyncio.sleep(0.3)
    for _ in range(3):
        stage.client.send(wire.Leave(leg=bob.leg))
        await asyncio.sleep(0.113)
        stage.client.send(wire.Join(leg=bob.leg, room=stage.room))
        await stage.client.expect(wire.LegJoined, leg=bob.leg)
        await asyncio.sleep(0.107)
    heard = ann.voice.heard().pcm
    loudest = max(heard)
    assert 5000 <= loudest <= 5400
    assert steepest_step(heard) < 0.35 * loudest + 300  # the sine's own, and the steps of G.711


@scenario
async def what_is_said_is_heard_and_not_before(stage: Stage) -> None:
    ann, bob = await stage.callers(["PCMU", "PCMU"])
    await asyncio.sleep(0.3)
    ann.voice.say(440)
    await hears(bob, 440)
    assert ann.voice.said_at is not None
    began = bob.voice.heard().began(ann.voice.said_at - 0.1)
    assert began is not None
    assert began >= ann.voice.said_at


@scenario
async def packets_come_without_loss_gap_or_repetition(stage: Stage) -> None:
    ann, bob = await stage.callers(["PCMU", "PCMA"])
    ann.voice.say(440)
    bob.voice.say(650)
    await asyncio.sleep(1.5)
    for caller in (ann, bob):
        stage.assert_whole(caller)
        assert caller.voice.reception.packets >= 70


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseException | None]:
    if not has_native_engine():
        pytest.skip("the native engine is not built")
    return asyncio.run(run_all(SCENARIOS, tmp_path_factory.mktemp("sound")))


@pytest.mark.parametrize("name", SCENARIOS)
def test_sound(outcomes: dict[str, BaseException | None], name: str):
    error = outcomes[name]
    if error is not None:
        raise error
