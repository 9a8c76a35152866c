"""WAV files of others."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plenary.speech.errors import AudioMalformed
from plenary.speech.sound import Sound
from plenary.speech.wav import Encoding, Wav, parse, write


def form(tag: int, channels: int, rate: int, bits: int, more: bytes = b"") -> bytes:
    width = channels * bits // 8
    body = struct.pack("<HHIIHH", tag, channels, rate, rate * width, width, bits) + more
    return b"fmt " + struct.pack("<I", len(body)) + body


def data(body: bytes, size: int | None = None) -> bytes:
    return b"data" + struct.pack("<I", len(body) if size is None else size) + body


def riff(*chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + sum(map(len, chunks))) + b"WAVE" + b"".join(chunks)


EXTENSION = struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
LIST = b"LIST" + struct.pack("<I", 5) + b"INFO!\x00"

READ = {
    "16 bit": (riff(form(1, 1, 8000, 16), data(b"abcd")), Wav(8000, 1, Encoding.PCM_S16, b"abcd")),
    "8 bit, stereo": (riff(form(1, 2, 44100, 8), data(b"abcd")), Wav(44100, 2, Encoding.PCM_U8, b"abcd")),
    "A-law": (riff(form(6, 1, 8000, 8), data(b"abc")), Wav(8000, 1, Encoding.A_LAW, b"abc")),
    "mu-law": (riff(form(7, 1, 8000, 8, b"\0\0"), data(b"abc")), Wav(8000, 1, Encoding.MU_LAW, b"abc")),
    "extensible": (riff(form(0xFFFE, 1, 48000, 16, EXTENSION), data(b"ab")), Wav(48000, 1, Encoding.PCM_S16, b"ab")),
    "a size from a pipe": (
        riff(form(1, 1, 8000, 16), data(b"abcd", 0x7FFFF000)),
        Wav(8000, 1, Encoding.PCM_S16, b"abcd"),
    ),
    "half a sample": (riff(form(1, 1, 8000, 16), data(b"abcde")), Wav(8000, 1, Encoding.PCM_S16, b"abcd")),
    "other chunks": (riff(LIST, form(1, 1, 8000, 16), LIST, data(b"ab")), Wav(8000, 1, Encoding.PCM_S16, b"ab")),
    "more behind": (riff(form(1, 1, 8000, 16), data(b"ab"), LIST), Wav(8000, 1, Encoding.PCM_S16, b"ab")),
    "no sound": (riff(form(1, 1, 8000, 16), data(b"")), Wav(8000, 1, Encoding.PCM_S16, b"")),
}
REFUSED = {
    "nothing": (b"", "no WAV"),
    "an MP3": (b"ID3\x04" + bytes(100), "no WAV"),
    "a page": (b"<!DOCTYPE html><html>", "no WAV"),
    "no data": (riff(form(1, 1, 8000, 16)), "ends before"),
    "data first": (riff(data(b"ab"), form(1, 1, 8000, 16)), "before it says"),
    "24 bit": (riff(form(1, 1, 8000, 24), data(b"abc")), "24 bit"),
    "GSM": (riff(form(49, 1, 8000, 0), data(b"abc")), "tag 49"),
    "six channels": (riff(form(1, 6, 8000, 16), data(b"")), "6 channels"),
    "no channel": (riff(form(1, 0, 8000, 16), data(b"")), "0 channels"),
    "too fast": (riff(form(1, 1, 96000, 16), data(b"")), "96000 Hz"),
    "no rate": (riff(form(1, 1, 0, 16), data(b"")), "0 Hz"),
    "a short format": (riff(b"fmt \x02\x00\x00\x00\x01\x00", data(b"")), "too short"),
    "many chunks": (riff(*[b"junk\0\0\0\0"] * 2000), "too many"),
}


@pytest.mark.parametrize(("file", "wav"), READ.values(), ids=READ.keys())
def test_a_file_of_this_kind_is_read(file: bytes, wav: Wav):
    assert parse(file) == wav


@pytest.mark.parametrize(("file", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_of_that_kind_is_refused_with_a_reason(file: bytes, words: str):
    with pytest.raises(AudioMalformed, match=words):
        parse(file)


@given(pcm=st.binary(max_size=100).map(lambda data: data[: len(data) & ~1]), rate=st.integers(8000, 48000))
def test_what_we_write_we_read(pcm: bytes, rate: int):
    assert parse(write(Sound(rate, pcm))) == Wav(rate, 1, Encoding.PCM_S16, pcm)


@given(
    whole=st.sampled_from([file for file, _ in READ.values()]),
    changes=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 120),
)
def test_no_damage_does_more_than_be_refused(whole: bytes, changes: list[tuple[int, int]], cut: int):
    file = bytearray(whole)
    for at, value in changes:
        file[at % len(file)] = value
    try:
        wav = parse(bytes(file[:cut]))
    except AudioMalformed:
        return
    assert len(wav.data) % (wav.channels * wav.encoding.width) == 0
    assert len(wav.data) <= len(file)


@given(file=st.binary(max_size=200).map(lambda rest: b"RIFF\0\0\0\0WAVE" + rest))
def test_no_bytes_at_all_break_the_reader(file: bytes):
    with contextlib.suppress(AudioMalformed):
        parse(file)
