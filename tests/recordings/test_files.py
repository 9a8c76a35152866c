"""A recording reads as one valid WAV file at any moment, whatever the crash has left."""

import io
import tempfile
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plenary.recordings.files import HEADER_BYTES, OpenRecording, RecordingFiles, header

ID = "0b5e8a3c-6f0f-4f0e-9d57-3a1c6c0f7a11"
OTHER = "1c5e8a3c-6f0f-4f0e-9d57-3a1c6c0f7a22"
NO_IDS = ["", "..", "../../etc", ID.upper(), ID + "/..", ID + "\n", ID[:-1], "/" + ID]


@pytest.fixture
def files(tmp_path: Path) -> RecordingFiles:
    return RecordingFiles(tmp_path / "recordings")


def whole(recording: OpenRecording | None) -> bytes:
    assert recording is not None
    everything = recording.read(0, recording.size)
    recording.close()
    assert len(everything) == recording.size
    return everything


def sound_in(file: bytes) -> bytes:
    """As another program reads it; the header must tell exactly what is there."""
    with wave.open(io.BytesIO(file)) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate()) == (1, 2, 8000)
        sound = read.readframes(read.getnframes())
    assert len(file) == HEADER_BYTES + len(sound)
    return sound


def test_parts_follow_each_other_in_the_order_of_their_numbers(files: RecordingFiles):
    for number in (1, 2, 10):
        files.part(ID, number).write_bytes(header(4) + b"%04d" % number)
    assert sound_in(whole(files.open(ID))) == b"000100020010"


def test_a_recording_that_runs_reads_as_long_as_it_was_when_it_was_opened(files: RecordingFiles):
    path = files.part(ID, 1)
    path.write_bytes(header(4) + b"abcd")
    early = files.open(ID)
    with path.open("ab") as engine:
        engine.write(b"efgh")
    assert sound_in(whole(early)) == b"abcd"
    assert sound_in(whole(files.open(ID))) == b"abcdefgh"


def test_what_the_header_does_not_tell_yet_is_sound_all_the_same(files: RecordingFiles):
    files.part(ID, 1).write_bytes(header(0) + b"abcdef")
    files.part(ID, 2).write_bytes(bytes(HEADER_BYTES) + b"gh")
    assert sound_in(whole(files.open(ID))) == b"abcdefgh"


def test_a_removed_recording_is_read_to_its_end_by_who_had_it_open(files: RecordingFiles):
    files.part(ID, 1).write_bytes(header(4) + b"abcd")
    reading = files.open(ID)
    files.remove(ID)
    files.remove(ID)
    assert sound_in(whole(reading)) == b"abcd"
    assert files.open(ID) is None


def test_what_is_lost_while_it_is_read_becomes_silence_and_no_short_answer(files: RecordingFiles):
    path = files.part(ID, 1)
    path.write_bytes(header(8) + b"abcdefgh")
    reading = files.open(ID)
    path.write_bytes(header(2) + b"ab")
    assert sound_in(whole(reading)) == b"ab" + bytes(6)


def test_nothing_is_opened_before_the_first_part_is_begun(files: RecordingFiles):
    assert files.open(ID) is None
    files.part(ID, 1)
    assert files.open(ID) is None
    files.part(ID, 1).write_bytes(b"RIFF")
    assert sound_in(whole(files.open(ID))) == b""


@pytest.mark.parametrize("name", NO_IDS)
def test_what_is_no_id_has_no_files(files: RecordingFiles, name: str):
    files.part(ID, 1).write_bytes(header(2) + b"ab")
    assert files.open(name) is None
    with pytest.raises(AssertionError):
        files.part(name, 1)
    with pytest.raises(AssertionError):
        files.remove(name)
    assert files.open(ID) is not None


def test_other_files_in_the_folder_are_no_parts(files: RecordingFiles):
    folder = files.part(ID, 1).parent
    for name in ("0.wav", "01.wav", "1.wav.bak", "x.wav", "٣.wav", "-1.wav"):
        (folder / name).write_bytes(header(2) + b"no")
    files.part(ID, 1).write_bytes(header(2) + b"ab")
    assert sound_in(whole(files.open(ID))) == b"ab"


part_bytes = st.binary(max_size=40).map(lambda sound: header(len(sound) & ~1) + sound)


@given(
    parts=st.lists(st.tuples(part_bytes, st.integers(0, 90)), min_size=1, max_size=4),
    ranges=st.lists(st.tuples(st.integers(0, 250), st.integers(0, 250)), max_size=5),
)
def test_parts_cut_at_any_byte_make_a_valid_file_and_every_range_is_a_slice_of_it(
    parts: list[tuple[bytes, int]], ranges: list[tuple[int, int]]
):
    with tempfile.TemporaryDirectory() as folder:
        files = RecordingFiles(Path(folder))
        for number, (content, cut) in enumerate(parts, 1):
            files.part(ID, number).write_bytes(content[:cut])
        recording = files.open(ID)
        assert recording is not None
        everything = recording.read(0, recording.size + 10)
        wanted = b""
        for content, cut in parts:
            sound = content[:cut][HEADER_BYTES:]
            wanted += sound[: len(sound) & ~1]
        assert sound_in(everything) == wanted
        assert recording.duration_ms == len(wanted) // 2 * 1000 // 8000
        for offset, length in ranges:
            assert recording.read(offset, length) == everything[offset : offset + length]
        recording.close()

        assert sound_in(whole(files.open(ID))) == wanted


def test_every_recording_that_has_a_folder_is_listed(files: RecordingFiles, tmp_path: Path):
    assert files.ids() == []
    for recording in (ID, OTHER):
        files.part(recording, 1)
    files.part(ID, 1).write_bytes(header(0))
    (tmp_path / "recordings" / "notes").mkdir()
    assert files.ids() == [ID, OTHER]
    assert [files.is_empty(recording) for recording in files.ids()] == [False, True]
