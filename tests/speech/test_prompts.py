"""Prompts: everything is made once, kept, and told when it fails."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from plenary.speech.cache import SoundCache
from plenary.speech.errors import AudioUnreachable, SpeechTimeout, SpeechUnavailable
from plenary.speech.fetch import Fetcher
from plenary.speech.prompts import FRESH_S, PENDING_MAX, Prompt, Prompts
from plenary.speech.sound import Sound
from plenary.speech.wav import write

from .signals import tone

T = TypeVar("T")
HELLO = Sound(16000, tone(440, seconds=0.1))


class Speaker:
    """A `TextToSpeech` that says a tone, once it is let."""

    identity = "speaker 1"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.may = asyncio.Event()
        self.may.set()
        self.fails = False

    async def speak(self, text: str, gender: str, language: str) -> Sound:
        self.asked.append((text, gender, language))
        await self.may.wait()
        if self.fails:
            raise SpeechTimeout("Too slow.")
        return HELLO if text else Sound(16000, b"")


class Web(Fetcher):
    """A `Fetcher` whose one file changes with each fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetches = 0
        self.fails = False

    async def fetch(self, url: str) -> Sound:
        self.fetches += 1
        if self.fails:
            raise AudioUnreachable(f"{url} is away.")
        return Sound(16000, bytes([self.fetches, 0]) * 800)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    def __init__(self, folder: Path) -> None:
        self.speaker, self.web, self.clock = Speaker(), Web(), Clock()
        self.cache = SoundCache(folder)
        self.prompts = Prompts(self.speaker, self.web, self.cache, self.clock)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 10))


async def settled(until: Any) -> None:
    while not until():
        await asyncio.sleep(0)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "speech")


def test_a_text_is_spoken_once_and_named_by_its_sound(bench: Bench, tmp_path: Path):
    async def story() -> list[Prompt]:
        return [await bench.prompts.prepare(text="Hello", gender="female", language="en-US") for _ in range(2)]

    first, second = run(story())
    assert first == second
    assert first.pcm == HELLO.pcm
    assert first.duration_ms == 100
    assert len(first.name) == 64
    assert bench.speaker.asked == [("Hello", "female", "en-US")]
    later = Bench(tmp_path / "speech")
    assert run(later.prompts.prepare(text="Hello", gender="female", language="en-US")) == first
    assert later.speaker.asked == []


def test_another_voice_language_or_text_is_spoken_anew_under_the_same_name_if_it_sounds_the_same(bench: Bench):
    async def story() -> set[str]:
        asked = [("a", "male", "en"), ("a", "female", "en"), ("a", "male", "de"), ("amale", "", "en")]
        return {(await bench.prompts.prepare(text=t, gender=g, language=v)).name for t, g, v in asked}

    assert len(run(story())) == 1
    assert len(bench.speaker.asked) == 4


def test_who_asks_for_the_same_at_the_same_time_waits_for_the_same_work(bench: Bench):
    async def story() -> list[Prompt]:
        bench.speaker.may.clear()
        asking = [asyncio.create_task(bench.prompts.prepare(text="Hello")) for _ in range(20)]
        await settled(lambda: bench.speaker.asked)
        asking[0].cancel()
        bench.speaker.may.set()
        return [
            prompt for prompt in await asyncio.gather(*asking, return_exceptions=True) if isinstance(prompt, Prompt)
        ]

    assert len(run(story())) == 19
    assert len(bench.speaker.asked) == 1
    assert bench.prompts.pending == 0


def test_a_failure_is_told_to_all_who_wait_and_the_next_one_tries_again(bench: Bench):
    async def story() -> list[Prompt | BaseException]:
        bench.speaker.fails = True
        both = (bench.prompts.prepare(text="Hello") for _ in range(2))
        told = await asyncio.gather(*both, return_exceptions=True)
        bench.speaker.fails = False
        return [*told, await bench.prompts.prepare(text="Hello")]

    *told, spoken = run(story())
    assert [type(error) for error in told] == [SpeechTimeout, SpeechTimeout]
    assert isinstance(spoken, Prompt)
    assert len(bench.speaker.asked) == 2


def test_a_flood_is_refused_and_what_was_begun_goes_on(bench: Bench):
    async def story() -> None:
        bench.speaker.may.clear()
        asking = [asyncio.create_task(bench.prompts.prepare(text=str(n))) for n in range(PENDING_MAX)]
        await settled(lambda: bench.prompts.pending == PENDING_MAX)
        with pytest.raises(SpeechUnavailable, match="too many"):
            await bench.prompts.prepare(text="one more")
        bench.speaker.may.set()
        assert len({prompt.name for prompt in await asyncio.gather(*asking)}) == 1

    run(story())


def test_the_sound_of_a_url_is_kept_for_a_minute(bench: Bench):
    async def story() -> list[str]:
        names: list[str] = []
        for now in (0.0, FRESH_S - 1, FRESH_S + 1):
            bench.clock.now = now
            names.append((await bench.prompts.prepare(url="http://sounds.example/a.wav")).name)
        return names

    first, second, third = run(story())
    assert first == second != third
    assert bench.web.fetches == 2


def test_nothing_to_say_is_one_frame_of_silence(bench: Bench):
    assert run(bench.prompts.prepare(text="")).pcm == bytes(640)


def test_closing_ends_what_is_in_the_making(bench: Bench):
    async def story() -> None:
        bench.speaker.may.clear()
        asking = asyncio.create_task(bench.prompts.prepare(text="Hello"))
        await settled(lambda: bench.speaker.asked)
        await bench.prompts.close()
        with pytest.raises(asyncio.CancelledError):
            await asking

    run(story())


# --- the cache -----------------------------------------------------------------------------------------------------

KEYS = [f"{n:064x}" for n in range(10)]
SECOND = Sound(16000, tone(440, seconds=1))


def test_the_least_recently_used_goes_first_on_disk_and_stays_gone(tmp_path: Path):
    cache = SoundCache(tmp_path, disk_max=3 * len(write(SECOND)), memory_max=0)
    for key in KEYS[:3]:
        cache.put(key, SECOND)
    assert cache.get(KEYS[0]) == SECOND
    cache.put(KEYS[3], SECOND)
    assert [cache.get(key) is not None for key in KEYS[:4]] == [True, False, True, True]
    assert sorted(path.stem for path in tmp_path.iterdir()) == [KEYS[0], KEYS[2], KEYS[3]]
    smaller = SoundCache(tmp_path, disk_max=len(write(SECOND)))
    assert len(list(tmp_path.iterdir())) == 1
    assert smaller.disk_bytes == len(write(SECOND))


def test_memory_has_a_limit_of_its_own(tmp_path: Path):
    cache = SoundCache(tmp_path, memory_max=2 * len(SECOND.pcm))
    for key in KEYS:
        cache.put(key, SECOND)
    assert cache.memory_bytes == 2 * len(SECOND.pcm)
    assert all(cache.get(key) == SECOND for key in KEYS)


@pytest.mark.parametrize("damage", [b"", b"RIFF", b"hello" * 100, write(SECOND)[:-1], write(SECOND) + b"\0\0"])
def test_a_damaged_file_counts_as_missing_and_goes(tmp_path: Path, damage: bytes):
    (tmp_path / f"{KEYS[0]}.wav").write_bytes(damage)
    cache = SoundCache(tmp_path)
    assert cache.get(KEYS[0]) is None
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_left_half_written_is_cleared_away(tmp_path: Path):
    (tmp_path / f"{KEYS[0]}.part").write_bytes(b"RIFF")
    SoundCache(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_counted_and_the_sound_is_there_all_the_same(tmp_path: Path):
    cache = SoundCache(tmp_path / "speech")
    (tmp_path / "speech").rmdir()
    cache.put(KEYS[0], SECOND)
    assert cache.failures == 1
    assert cache.get(KEYS[0]) == SECOND
