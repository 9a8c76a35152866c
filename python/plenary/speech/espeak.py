"""espeak-ng as a separate program: many languages, male and female, 10 ms for a sentence.

The text goes through standard input, never as an argument; SSML goes through `ssml.reduced` first. Arguments are a
voice, made only of what espeak-ng itself listed, and fixed words.
"""

import asyncio
import re
import shutil

from ..core.limits import TEXT_MAX
from .convert import SOX, to_prompt
from .errors import SpeechFailed, SpeechRefused
from .program import Program, run
from .sound import RATE, SOUND_MAX_S, Sound, levelled, trimmed
from .ssml import is_ssml, plain, reduced
from .wav import parse

ESPEAK_NG = Program("espeak-ng", "espeak-ng")

SPEAK_TIMEOUT_S = 10.0
"""A sentence takes 10 ms; who waits longer than this for a prompt has stopped listening."""

PROCESSES = 4
"""Programs at once. More would only take the processor from the media engine."""

_OUTPUT_MAX = SOUND_MAX_S * 24_000 * 2
"""Bytes: the longest prompt at the highest rate of any of its voices (22,050 Hz), and the header."""

_LISTING_MAX = 1_000_000
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,8}")
_VARIANTS = {"male": "+m3", "female": "+f3", "neutral": ""}


def languages_in(listing: str) -> dict[str, str]:
    """From what `espeak-ng --voices` prints: BCP 47 tag in lower case -> tag as espeak-ng writes it.

    Voices of MBROLA are left out: their data is not part of espeak-ng.
    """
    found: dict[str, str] = {}
    for line in listing.splitlines()[1:]:
        columns = line.split(None, 5)
        if len(columns) < 5 or columns[4].startswith("mb/"):
            continue
        others = re.findall(r"\(([A-Za-z0-9-]+) \d+\)", columns[5]) if len(columns) > 5 else []
        for tag in [columns[1], *others]:
            if _LANGUAGE.fullmatch(tag):
                found.setdefault(tag.lower(), tag)
    return found


def missing_programs() -> list[str]:
    """What this package needs and the machine does not have: a sentence each, for the start of the server."""
    return [
        f"The program {program.name} is not installed: apt install {program.package}."
        for program in (ESPEAK_NG, SOX)
        if shutil.which(program.name) is None
    ]


class EspeakNg:
    """A `TextToSpeech`. Asks the program once which languages it has."""

    identity = "espeak-ng 1"

    def __init__(self, program: Program = ESPEAK_NG) -> None:
        self._program = program
        self._running = asyncio.Semaphore(PROCESSES)
        self._languages: dict[str, str] = {}

    async def languages(self) -> dict[str, str]:
        """BCP 47 tags in lower case that can be spoken -> the program's own. Raises `PromptError`."""
        if not self._languages:
            listing = await run(self._program, ["--voices"], b"", limit=_LISTING_MAX, timeout_s=SPEAK_TIMEOUT_S)
            self._languages = languages_in(listing.decode("utf-8", "replace"))
            if not self._languages:
                raise SpeechFailed(f"The program {self._program.name} lists no voices: install it again.")
        return self._languages

    async def voice(self, gender: str, language: str) -> str:
        """The voice for it: of the language, or of the one that it is a variety of (`de-CH`: `de`)."""
        variant = _VARIANTS.get(gender)
        if variant is None:
            raise SpeechRefused("gender must be male, female or neutral.")
        if not _LANGUAGE.fullmatch(language):
            raise SpeechRefused("language must be a tag such as en-US, de or pt-BR.")
        there = await self.languages()
        wanted = language.lower()
        while wanted:
            if wanted in there:
                return there[wanted] + variant
            wanted = wanted.rpartition("-")[0]
        raise SpeechRefused(f"No voice of this server speaks {language}.")

    async def speak(self, text: str, gender: str, language: str) -> Sound:
        if len(text) > TEXT_MAX:
            raise SpeechRefused(f"The text has {len(text)} characters, {TEXT_MAX} can be spoken: make it shorter.")
        async with self._running:
            voice = await self.voice(gender, language)
            markup = is_ssml(text)
            given = (reduced(text) if markup else plain(text)).encode("utf-8", "replace")
            file = await run(
                self._program,
                ["-v", voice, "-b", "1", *(["-m"] if markup else []), "--stdin", "--stdout"],
                given + b"\n",
                limit=_OUTPUT_MAX,
                timeout_s=SPEAK_TIMEOUT_S,
            )
            if not file:
                return Sound(RATE, b"")
            sound = await to_prompt(parse(file))
        return await asyncio.to_thread(lambda: trimmed(levelled(sound)))
