"""The instruments must be right before they judge anything."""

import math
import wave
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plenary.testing import level_dbfs, mixed, onset_s, silence, tone, tone_level_dbfs, tones_in
from plenary.testing.g711 import decode, encode
from plenary.testing.tones import SILENCE_DBFS, steepest_step
from plenary.testing.voice import PhoneError, read_wav

SCALE = [440, 650, 910, 1170, 1490]


@pytest.mark.parametrize("level", [0.0, -16.0, -40.0])
def test_a_tone_has_the_level_that_was_asked_for(level: float):
    assert level_dbfs(tone(440, 1.0, level)) == pytest.approx(level, abs=0.05)
    assert tone_level_dbfs(tone(440, 1.0, level), 440) == pytest.approx(level, abs=0.1)


def test_silence_has_no_level_and_no_tones():
    assert level_dbfs(silence(0.1)) == SILENCE_DBFS
    assert tones_in(silence(0.1), SCALE) == set()


@pytest.mark.parametrize("said", [[440], [650, 910], SCALE])
def test_tones_are_told_apart_in_their_sum(said: list[int]):
    assert tones_in(mixed(*(tone(f, 0.5) for f in said)), SCALE) == set(said)


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_tones_survive_g711(codec: str):
    heard = decode(codec, encode(codec, mixed(tone(440, 0.5), tone(910, 0.5))))
    assert tones_in(heard, SCALE) == {440, 910}


def test_a_sum_saturates():
    assert max(mixed(tone(440, 0.1, 0), tone(440, 0.1, 0))) == 32767


def test_an_onset_is_found_to_the_sample():
    assert onset_s(silence(0.25) + tone(440, 0.1)) == pytest.approx(0.25, abs=2 / 8000)
    assert onset_s(silence(1.0)) is None


def test_a_click_is_steeper_than_a_tone():
    sound = tone(440, 0.1)
    assert steepest_step(sound) < 0.35 * max(sound) + 1
    assert steepest_step(sound[:405] + silence(0.1)) > 0.9 * max(sound) * abs(math.sin(2 * math.pi * 440 * 404 / 8000))


@pytest.mark.parametrize(("codec", "silent"), [("PCMU", 0xFF), ("PCMA", 0xD5)])
def test_silence_is_coded_as_the_standard_says(codec: str, silent: int):
    """G.711 tables 1 and 2: the positive code next to zero."""
    assert encode(codec, array("h", [0])) == bytes([silent])


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_every_code_is_the_code_of_its_own_sample(codec: str):
    codes = bytes(code for code in range(256) if (codec, code) != ("PCMU", 0x7F))  # minus zero is coded as zero
    assert encode(codec, decode(codec, codes)) == codes


@given(st.integers(-32768, 32767), st.sampled_from(["PCMU", "PCMA"]))
def test_a_sample_is_at_most_half_a_step_off_after_g711(sample: int, codec: str):
    """Steps are a sixteenth of the segment, which begins at a quarter of full scale's 2^13 or 2^12 at the least."""
    (heard,) = decode(codec, encode(codec, array("h", [sample])))
    assert abs(heard - sample) <= max(16, abs(sample) // 30 + 8) or abs(sample) > 32635


def test_a_wav_file_of_another_rate_is_not_played_at_the_wrong_speed(tmp_path: Path):
    with wave.open(str(tmp_path / "music.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(bytes(200))
    with pytest.raises(PhoneError, match="8000 Hz"):
        read_wav(tmp_path / "music.wav")
