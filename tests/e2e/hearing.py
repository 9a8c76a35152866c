"""What virtual phones hear, in real time: tones by name, and gaps."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from serving import Serving

from lateness import Lateness
from plenary.testing.phone import Phone
from plenary.testing.tones import RATE_HZ, Pcm, level_dbfs, tones_in

TONES = {"ann": 440, "bob": 650, "eve": 910, "joe": 1210}
"""Hz, none a multiple of another."""
LISTEN_S = 0.4
"""Long enough to tell the tones apart."""
FAREWELL_S = 1.0
GAP_MS = 100
AUDIBLE_DBFS = -40.0
_WINDOW = RATE_HZ // 50


async def hears(phone: Phone, wanted: set[int], timeout_s: float = 6.0) -> None:
    """Returns when these tones, and no other of `TONES`, have been heard for `LISTEN_S`."""
    heard: set[float] = set()
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                await asyncio.sleep(0.1)
                heard = await asyncio.to_thread(tones_in, phone.heard().last(LISTEN_S), TONES.values())
                if heard == wanted:
                    return
    except TimeoutError:
        raise AssertionError(f"{phone.name} hears {heard} instead of {wanted}") from None


async def hear_each_other(*phones: Phone) -> None:
    """Each hears the tones of the others, and not his own."""
    all_ = {TONES[phone.name] for phone in phones}
    await asyncio.gather(*(hears(phone, all_ - {TONES[phone.name]}) for phone in phones))


def longest_silence_ms(sound: Pcm) -> int:
    """The longest stretch in which nothing was to be heard, in steps of 20 ms."""
    longest = now = 0
    for at in range(0, len(sound) - _WINDOW + 1, _WINDOW):
        now = 0 if level_dbfs(sound[at : at + _WINDOW]) > AUDIBLE_DBFS else now + 20
        longest = max(longest, now)
    return longest


class Listening:
    """No gap from here on: neither in the sound nor between two packets."""

    def __init__(self, *phones: Phone) -> None:
        self._from = {phone: (len(phone.heard().pcm), phone.reception.longest_gap_ms) for phone in phones}
        self._lateness = Lateness()

    def without(self, phone: Phone) -> "Listening":
        """That one goes, and is allowed to hear nothing."""
        del self._from[phone]
        return self

    def assert_no_gap(self) -> None:
        allowed_ms = GAP_MS + 1000 * self._lateness.stop()
        for phone, (start, gap_ms) in self._from.items():
            sound = phone.heard().pcm[start:]
            assert len(sound) > 0, f"{phone.name} hears nothing at all any more"
            assert longest_silence_ms(sound) <= allowed_ms, f"{phone.name} heard a gap"
            assert phone.reception.longest_gap_ms <= max(gap_ms, allowed_ms), f"{phone.name}: {phone.reception}"


@contextlib.asynccontextmanager
async def humming(*names: str) -> AsyncGenerator[list[Phone]]:
    """Phones that hum their tone as long as they are in a call. In the end they hang up, if a server is there."""
    async with contextlib.AsyncExitStack() as ending:
        phones = [await ending.enter_async_context(Phone(name)) for name in names]
        for phone in phones:
            phone.say(TONES[phone.name])
        yield phones
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await asyncio.gather(*(phone.hang_up() for phone in phones if phone.in_call))


async def into_room(server: Serving, conference: str, phones: list[Phone]) -> list[str]:
    """Returns the ids of the conferencecalls, in any order."""
    await asyncio.gather(*(phone.call(f"sip:{conference}@{server.sip}") for phone in phones))
    return await server.until_inside(conference, len(phones))
