"""Conversion to 16 kHz, level, and silence at the ends."""

import asyncio
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plenary.speech.convert import to_prompt
from plenary.speech.errors import AudioTooLarge
from plenary.speech.sound import Sound, levelled, samples_of, trimmed
from plenary.speech.wav import Encoding, Wav

from .conftest import needs_espeak
from .signals import level_of, peak_dbfs, rms_dbfs, silence_at_ends_ms, tone


def converted(wav: Wav) -> Sound:
    return asyncio.run(to_prompt(wav))


@needs_espeak
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000])
def test_a_tone_keeps_its_pitch_and_its_level_at_every_rate(rate: int):
    sound = converted(Wav(rate, 1, Encoding.PCM_S16, tone(1000, rate=rate)))
    assert sound.rate == 16000
    assert abs(sound.duration_ms - 500) <= 2
    assert abs(level_of(sound, 1000) - -9) < 0.3


@needs_espeak
@pytest.mark.parametrize(("hz", "alias"), [(9200, 6800), (10000, 6000), (15000, 1000), (17000, 1000)])
def test_what_16_khz_can_not_carry_is_taken_out_before_it_folds_back(hz: int, alias: int):
    sound = converted(Wav(44100, 1, Encoding.PCM_S16, tone(hz, rate=44100)))
    middle = Sound(16000, sound.pcm[1600:-1600])
    assert level_of(middle, alias) < -70


@needs_espeak
def test_two_channels_become_one():
    left, right = samples_of(tone(500, rate=16000)), samples_of(tone(1200, rate=16000))
    both = array("h", (sample for pair in zip(left, right, strict=True) for sample in pair)).tobytes()
    sound = converted(Wav(16000, 2, Encoding.PCM_S16, both))
    assert abs(level_of(sound, 500) - -15) < 0.3
    assert abs(level_of(sound, 1200) - -15) < 0.3


@needs_espeak
@pytest.mark.parametrize(
    ("encoding", "data", "value"),
    [
        (Encoding.PCM_U8, b"\x80\xc0\x40", [0, 16384, -16384]),
        (Encoding.MU_LAW, b"\xff\x80\x00", [0, 32124, -32124]),  # ITU-T G.711, table 2
        (Encoding.A_LAW, b"\xd5\xaa\x2a", [8, 32256, -32256]),  # ITU-T G.711, table 1
    ],
)
def test_samples_of_one_byte_have_their_value(encoding: Encoding, data: bytes, value: list[int]):
    assert list(samples_of(converted(Wav(16000, 1, encoding, data)).pcm)) == value


def test_sound_that_is_too_long_is_refused_before_any_work():
    with pytest.raises(AudioTooLarge, match="lasts 481 s"):
        converted(Wav(8000, 1, Encoding.MU_LAW, bytes(481 * 8000)))


@pytest.mark.parametrize("peak", [0.01, 0.1, 1.0])
def test_speech_comes_to_the_same_level_however_loud_it_was(peak: float):
    sound = levelled(Sound(16000, tone(440, peak=peak) + bytes(32000) + tone(440, peak=peak)))
    assert abs(rms_dbfs(Sound(16000, sound.pcm[:16000])) - -20) < 0.2


def test_peaks_stay_below_their_limit_even_if_the_level_is_not_reached():
    clicks = array("h", [30000 if n % 400 == 0 else 3000 if n % 2 else -3000 for n in range(8000)]).tobytes()
    assert peak_dbfs(levelled(Sound(16000, clicks))) <= -3


@given(pcm=st.binary(max_size=4000))
def test_any_samples_can_be_levelled_and_trimmed(pcm: bytes):
    sound = trimmed(levelled(Sound(16000, pcm[: len(pcm) & ~1])))
    assert len(sound.pcm) <= len(pcm)
    if sound.pcm:
        assert peak_dbfs(sound) <= -3


def test_silence_at_the_ends_goes_and_pauses_stay():
    pause = bytes(2 * 16000)
    sound = trimmed(Sound(16000, pause + tone(440) + pause + tone(440) + pause))
    assert max(silence_at_ends_ms(sound)) <= 100
    assert 2000 <= sound.duration_ms <= 2200


def test_of_silence_nothing_is_left():
    assert trimmed(levelled(Sound(16000, bytes(32000)))) == Sound(16000, b"")
