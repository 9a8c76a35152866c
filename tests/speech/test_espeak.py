"""Speech by the real espeak-ng: voices, level, what it must never do, and what is told when it can't."""

import asyncio
import stat
from pathlib import Path

import pytest

from plenary.speech.errors import (
    AudioTooLarge,
    PromptError,
    SpeechFailed,
    SpeechRefused,
    SpeechTimeout,
    SpeechUnavailable,
)
from plenary.speech.espeak import EspeakNg, languages_in, missing_programs
from plenary.speech.program import Program, run
from plenary.speech.sound import Sound

from .conftest import needs_espeak
from .signals import peak_dbfs, pitch_hz, rms_dbfs, silence_at_ends_ms

HELLO = "Hello. Welcome to the test conference."


def speak(text: str, gender: str = "neutral", language: str = "en-US") -> Sound:
    return asyncio.run(EspeakNg().speak(text, gender, language))


@needs_espeak
@pytest.mark.parametrize(("gender", "language"), [("female", "en-US"), ("male", "de"), ("neutral", "pt-BR")])
def test_speech_has_the_level_of_a_caller_and_no_silence_around_it(gender: str, language: str):
    sound = speak(HELLO, gender, language)
    assert sound.rate == 16000
    assert 1500 < sound.duration_ms < 5000
    assert -23 < rms_dbfs(sound) < -19
    assert peak_dbfs(sound) <= -3
    assert max(silence_at_ends_ms(sound)) <= 100


@needs_espeak
def test_a_female_voice_is_higher_than_a_male_one():
    assert pitch_hz(speak(HELLO, "female")) > 1.2 * pitch_hz(speak(HELLO, "male"))


@needs_espeak
@pytest.mark.parametrize(
    ("language", "voice"),
    [
        ("en-US", "en-us"),
        ("EN-us", "en-us"),
        ("en-GB", "en-gb"),
        ("de-CH", "de"),
        ("zh-CN", "zh"),
        ("pt-BR", "pt-br"),
        ("ko-KR", "ko"),
    ],
)
def test_a_language_is_spoken_by_its_own_voice_or_by_that_of_its_base(language: str, voice: str):
    assert asyncio.run(EspeakNg().voice("neutral", language)).lower() == voice


@needs_espeak
@pytest.mark.parametrize("language", ["xx", "tlh-KX", "", "-v", "en us", "../../etc", "en-us+f3", "en\n", "a" * 5000])
def test_a_language_that_nobody_speaks_is_refused(language: str):
    with pytest.raises(SpeechRefused):
        speak(HELLO, language=language)


@needs_espeak
def test_a_gender_that_does_not_exist_is_refused():
    with pytest.raises(SpeechRefused, match="male, female or neutral"):
        speak(HELLO, gender="+m3 --help")


@needs_espeak
@pytest.mark.parametrize(
    "text", ["--help", "-f /etc/passwd", "$(reboot)", "; ls", "a\x00b", "<b>bold</b>", "Grüße", "日本"]
)
def test_any_text_is_spoken_as_text(text: str):
    assert speak(text).duration_ms > 100


@needs_espeak
@pytest.mark.parametrize("text", ["", "   ", "...", "<speak/>", "\n\n"])
def test_a_text_with_nothing_to_say_is_silence(text: str):
    assert speak(text).duration_ms < 1000


@needs_espeak
def test_markup_is_followed():
    slow = speak('<speak><prosody rate="x-slow">Hello, dear callers.</prosody></speak>')
    assert slow.duration_ms > 1.2 * speak("Hello, dear callers.").duration_ms
    pause = speak('<speak>Hello <break time="2s"/> dear callers.</speak>')
    assert pause.duration_ms > speak("Hello dear callers.").duration_ms + 1200


@needs_espeak
def test_markup_opens_no_files_of_this_machine(tmp_path: Path):
    """espeak-ng itself would play the file of `<audio src>`."""
    from plenary.speech.wav import write

    from .signals import tone

    (tmp_path / "secret.wav").write_bytes(write(Sound(22050, tone(1000, seconds=5, rate=22050))))
    said = speak(f'<speak>Hello <audio src="{tmp_path}/secret.wav">dear</audio> callers.</speak>')
    assert said.duration_ms < 3000


@needs_espeak
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a" * 10_001, SpeechRefused),
        ("<speak>unclosed", SpeechRefused),
    ],
)
def test_a_text_that_is_too_much_or_malformed_is_refused(text: str, error: type[PromptError]):
    with pytest.raises(error):
        speak(text)


def program(folder: Path, body: str) -> Program:
    path = folder / "speaker"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Program(str(path), "the-package")


def test_a_missing_program_is_told_with_the_package_that_brings_it():
    speaker = EspeakNg(Program("no-such-program", "espeak-ng"))
    with pytest.raises(
        SpeechUnavailable, match=r"no-such-program is not installed on the server: apt install espeak-ng"
    ):
        asyncio.run(speaker.speak(HELLO, "neutral", "en"))


def test_at_the_start_every_missing_program_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [sentence.split(":")[1] for sentence in missing_programs()] == [
        " apt install espeak-ng.",
        " apt install sox.",
    ]


def test_a_program_that_can_not_be_started_is_told(tmp_path: Path):
    (tmp_path / "speaker").write_text("no program")
    with pytest.raises(SpeechUnavailable, match="can't be started"):
        asyncio.run(run(Program(str(tmp_path / "speaker"), "p"), [], b"", limit=10, timeout_s=5))


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ("exec sleep 60", SpeechTimeout, "took longer than 0.1 s"),
        ("yes", AudioTooLarge, "make it shorter"),
        ("echo no voice >&2; exit 3", SpeechFailed, r"failed \(status 3: no voice\)"),
        ("kill -9 $$", SpeechFailed, "status -9"),
    ],
)
def test_what_goes_wrong_with_a_program_is_told_and_it_is_gone(
    tmp_path: Path, body: str, error: type[PromptError], words: str
):
    speaker = program(tmp_path, f"echo $$ > {tmp_path}/pid\n{body}")
    timeout_s = 0.1 if error is SpeechTimeout else 10
    with pytest.raises(error, match=words):
        asyncio.run(run(speaker, [], b"x" * 1_000_000, limit=1000, timeout_s=timeout_s))
    if (tmp_path / "pid").exists():
        assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_program_gets_the_text_on_its_input_and_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PLENARY_ACCESS_KEY", "secret")
    said = asyncio.run(run(program(tmp_path, "cat; env; echo $#"), ["-x"], b"text\n", limit=10_000, timeout_s=10))
    assert said.startswith(b"text\n")
    assert said.endswith(b"1\n")
    assert b"secret" not in said


def test_the_listing_of_voices_gives_every_tag_but_those_without_data():
    listing = """Pty Language       Age/Gender VoiceName          File                 Other Languages
 5  cmn             --/M      Chinese_(Mandarin) sit/cmn              (zh-cmn 5)(zh 5)
 2  en-us           --/M      English_(America)  gmw/en-US            (en 3)
 5  sw              --/M      Swahili            bnt/sw
 5  el              --/M      greek-mb-gr2       mb/mb-gr2
 broken
"""
    assert set(languages_in(listing)) == {"cmn", "zh-cmn", "zh", "en-us", "en", "sw"}
