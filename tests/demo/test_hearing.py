"""The ears of the demo, on sound made for the purpose: speech-like noise of two voices that have nothing in common."""

import random
from array import array

import pytest

from plenary.demo.hearing import RATE_HZ, find


def voice(seed: int, seconds: float = 3.0) -> array:
    """Noise below about 1 kHz in syllables, of full-scale / 8."""
    chance, value, loud, pcm = random.Random(seed), 0.0, 0.0, array("h")
    for i in range(int(seconds * RATE_HZ)):
        if i % 1600 == 0:
            loud = chance.choice([0.0, 1.0, 1.0, 0.6])
        value += 0.35 * (chance.uniform(-1, 1) - value)
        pcm.append(int(6000 * loud * value))
    return pcm


def mixed(*sounds: array) -> array:
    return array("h", [sum(samples) for samples in zip(*sounds, strict=True)])


ANN, BOB = voice(1), voice(2)
SILENCE = array("h", bytes(2 * RATE_HZ // 10))


@pytest.mark.parametrize("late", [0, 3, 8, 799])
def test_a_voice_in_a_mix_is_found_with_its_gain_and_its_delay(late: int):
    heard = array("h", bytes(2 * late)) + mixed(ANN, BOB) + SILENCE
    match = find(ANN, heard, 400)
    assert match.is_heard
    assert match.gain == pytest.approx(1.0, abs=0.15)
    assert match.at_ms == late * 1000 // RATE_HZ


def test_a_voice_that_is_not_there_is_absent():
    assert find(ANN, BOB + SILENCE, 100).is_absent
    assert not find(ANN, BOB + SILENCE, 100).is_heard


def test_half_as_loud_is_not_heard():
    assert not find(ANN, array("h", [sample // 2 for sample in ANN]) + SILENCE).is_heard


def test_a_packet_that_a_jitter_buffer_put_in_does_not_matter():
    heard = ANN[:12000] + array("h", bytes(2 * 160)) + ANN[12000:] + SILENCE
    match = find(ANN, heard, 100)
    assert match.is_heard
    assert match.gain < match.piecewise_gain


def test_half_of_a_voice_is_not_heard():
    heard = array("h", [0 if (i // 3200) % 2 else sample for i, sample in enumerate(ANN)]) + SILENCE
    assert not find(ANN, heard).is_heard


def test_silence_is_never_found():
    assert find(SILENCE, ANN).gain == 0.0
