"""The one door of this package: text or URL in, a prompt out that the media engine can be given.

Whoever asks for the same thing at the same time waits for the same work. Texts are kept in the cache for good; what was
fetched is kept for a minute, because the file behind a URL may change, but fifty callers join at once.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine

import msgspec

from .cache import SoundCache
from .errors import SpeechUnavailable
from .fetch import Fetcher
from .provider import TextToSpeech
from .sound import Sound

PENDING_MAX = 256
"""Different prompts in the making at once: more come from a flood, not from callers."""

FRESH_S = 60.0
"""How long the sound of a URL is taken to be the same."""

FRAME_MS = 20
"""What the engine plays at a time."""

FETCHED_MAX_BYTES = 32 * 1024 * 1024
"""Sound of URLs that is kept."""


class Prompt(msgspec.Struct, frozen=True):
    """Sound for the engine: 16 kHz mono, signed 16 bit little-endian."""

    name: str
    """SHA-256 of `pcm`, in hexadecimal: equal sound has one name, whatever it was made of."""
    pcm: bytes
    duration_ms: int


def prompt_of(sound: Sound) -> Prompt:
    """What has no sound in it becomes one frame of silence: a prompt is never empty."""
    if not sound.pcm:
        sound = Sound(sound.rate, bytes(sound.rate * 2 * FRAME_MS // 1000))
    return Prompt(hashlib.sha256(sound.pcm).hexdigest(), sound.pcm, sound.duration_ms)


def _key(*parts: str) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


class Prompts:
    """Used from one event loop. `now` (seconds, any epoch) is the loop's clock if none is given."""

    def __init__(
        self, speech: TextToSpeech, fetcher: Fetcher, cache: SoundCache, now: Callable[[], float] | None = None
    ) -> None:
        self._speech = speech
        self._fetcher = fetcher
        self._cache = cache
        self._now = now or (lambda: asyncio.get_running_loop().time())
        self._cache_turn = asyncio.Lock()
        self._making: dict[str, asyncio.Task[Prompt]] = {}
        self._fetched: OrderedDict[str, tuple[float, Prompt]] = OrderedDict()
        """By key: until when it is fresh; oldest first."""

    @property
    def pending(self) -> int:
        """Prompts in the making."""
        return len(self._making)

    async def prepare(
        self,
        *,
        text: str | None = None,
        url: str | None = None,
        gender: str = "neutral",
        language: str = "en-US",
    ) -> Prompt:
        """Exactly one of `text` (plain or SSML) and `url` (of a WAV file). Raises `PromptError`.

        Who no longer waits for it may cancel: others that wait for the same still get it.
        """
        if text is not None:
            assert url is None
            key = _key("text", self._speech.identity, text, gender, language)
            return await self._once(key, lambda: self._spoken(key, text, gender, language))
        assert url is not None
        key = _key("url", url)
        fresh_until, prompt = self._fetched.get(key, (0.0, None))
        if prompt is not None and self._now() < fresh_until:
            return prompt
        return await self._once(key, lambda: self._brought(key, url))

    async def close(self) -> None:
        """Ends what is in the making; who waits for it is cancelled."""
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _once(self, key: str, work: Callable[[], Coroutine[None, None, Prompt]]) -> Prompt:
        task = self._making.get(key)
        if task is None:
            if len(self._making) >= PENDING_MAX:
                raise SpeechUnavailable("The server prepares too many prompts at once: try again later.")
            task = asyncio.create_task(work())
            self._making[key] = task
            task.add_done_callback(lambda _: self._making.pop(key))
        return await asyncio.shield(task)

    async def _spoken(self, key: str, text: str, gender: str, language: str) -> Prompt:
        async with self._cache_turn:
            sound = await asyncio.to_thread(self._cache.get, key)
        if sound is None:
            sound = await self._speech.speak(text, gender, language)
            async with self._cache_turn:
                await asyncio.to_thread(self._cache.put, key, sound)
        return prompt_of(sound)

    async def _brought(self, key: str, url: str) -> Prompt:
        prompt = prompt_of(await self._fetcher.fetch(url))
        self._fetched[key] = (self._now() + FRESH_S, prompt)
        self._fetched.move_to_end(key)
        while sum(len(kept.pcm) for _, kept in self._fetched.values()) > FETCHED_MAX_BYTES:
            self._fetched.popitem(last=False)
        return prompt
