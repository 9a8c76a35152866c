"""Real browsers on the join page: how long a reload and another network are heard, and whether a long call stays as
it was. Chromium and Firefox are driven by what the tests have for that.

A phone that speaks G.711 sits in the room and says nothing, or its tone; what it hears tells when somebody is back.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console

from figures import Figure, middle
from machine import CORES, GENERATOR_CORE, resident_mib
from processes import ROOT, NotMeasured

sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests/e2e"))

from browsers import Page, Wire
from hearing import TONES, humming, longest_silence_ms
from hearing import hears as phone_hears
from joining import chromium, enters, firefox, hears, link
from serving import Serving, serving

from plenary.testing.phone import Phone

ANN, BOB, EVE = TONES["ann"], TONES["bob"], TONES["eve"]
BACK_S = 2.0
AWAY_S = 4.0
"""As long as the network is away: the page has noticed by then."""
CALM_S = 1.0
PAUSE_MS = 100
"""What Chromium's microphone says has pauses of this length."""
LONG_CALL_MIN, SHORT_CALL_MIN = 20, 3
SETTLED_MIN = 2
"""Browsers and buffers have what they need by then."""


def browsers(quick: bool) -> Iterator[Figure]:
    """From the last sound of who reloads, or has another network, to his next one, at a phone in the room."""
    runs = 1 if quick else 3
    for name, browser, tone, of_it in (
        ("Chromium", chromium, ANN, f"up to {PAUSE_MS} ms of it a pause of his own"),
        ("Firefox", firefox, BOB, ""),
    ):
        found = asyncio.run(_returns(browser, tone, runs))
        for what, gaps in found.items():
            spread = f"median of {len(gaps)}: {min(gaps):.2f} to {max(gaps):.2f}"
            note = "; ".join(filter(None, (spread, of_it)))
            yield Figure(
                group=f"{name}, silence at a phone", what=what, value=middle(gaps), unit="s", budget=BACK_S, note=note
            )


async def _returns(browser: Any, tone: int, runs: int) -> dict[str, list[float]]:
    moved: list[float] = []
    back: list[float] = []
    reloaded: list[float] = []
    name = next(name for name, hz in TONES.items() if hz == tone)
    async with (
        _a_server() as (server, folder),
        _room(server) as (conference, eve),
        browser(folder, name) as page,
        Wire(("127.0.0.1", server.webrtc_port)) as wire,
    ):
        await page.open(await link(server, conference, name))
        await wire.lead(page)
        await page.click("Join")

        async def moves() -> None:
            wire.move()

        async def is_away() -> None:
            wire.cut()
            await asyncio.sleep(AWAY_S)
            wire.move()
            wire.mend()

        for _ in range(runs):
            moved.append(await _silence(eve, tone, moves))
            back.append(await _silence(eve, tone, is_away) - AWAY_S)
        for _ in range(runs):
            reloaded.append(await _silence(eve, tone, page.reload))
    return {
        "the page is loaded anew": reloaded,
        "from another address at once": moved,
        f"away for {AWAY_S:.0f} s, then from another address: after that": back,
    }


async def _silence(eve: Phone, tone: int, happens: Callable[[], Awaitable[None]]) -> float:
    """Seconds that the phone hears nothing of the only one who speaks, because of what happens."""
    await phone_hears(eve, {tone}, 30.0)
    await asyncio.sleep(CALM_S)
    start = len(eve.heard().pcm)
    await happens()
    await asyncio.sleep(CALM_S)
    await phone_hears(eve, {tone}, 30.0)
    return longest_silence_ms(eve.heard().pcm[start:]) / 1000


def long_call(quick: bool) -> Iterator[Figure]:
    """Chromium, Firefox and a G.711 phone talk all the time; each minute it is looked whether all is as it was."""
    minutes = SHORT_CALL_MIN if quick else LONG_CALL_MIN
    seen = asyncio.run(_talk(minutes))
    first, last = seen[SETTLED_MIN - 1], seen[-1]
    group = f"Long call: Chromium, Firefox, a G.711 phone, {minutes} minutes"
    yield Figure(
        group=group,
        what="minutes after which everyone heard everyone else, and not himself",
        value=sum(not each.unheard for each in seen),
        unit="",
        budget=minutes,
        at_least=True,
        note="; ".join(each.unheard for each in seen if each.unheard),
    )
    gaps = [each.gap_ms for each in seen]
    yield Figure(
        group=group,
        what="longest gap at the phone",
        value=max(gaps),
        unit="ms",
        note=f"median {median(gaps):.0f} ms; the phone itself was late by up to {max(s.late_ms for s in seen):.0f} ms",
    )
    delays = [each.delay_ms for each in seen if each.delay_ms is not None]
    if len(delays) < 2:
        raise NotMeasured("the API never told the delay of the room")
    quarter = max(1, len(delays) // 4)
    yield Figure(
        group=group,
        what="mouth to ear, by the API: last quarter less the first",
        value=median(delays[-quarter:]) - median(delays[:quarter]),
        unit="ms",
        note=f"{min(delays):.0f} to {max(delays):.0f} ms",
    )
    for what, before, after in (
        ("engine", first.engine_mib, last.engine_mib),
        ("server", first.server_mib, last.server_mib),
    ):
        yield Figure(
            group=group,
            what=f"memory of the {what}: last minute less minute {SETTLED_MIN}",
            value=after - before,
            unit="MiB",
            note=f"{before:.1f}, then {after:.1f} MiB",
        )


class _Minute(NamedTuple):
    """How things were in one minute and at its end."""

    unheard: str
    gap_ms: float
    late_ms: float
    delay_ms: float | None
    engine_mib: float
    server_mib: float


async def _talk(minutes: int) -> list[_Minute]:
    seen: list[_Minute] = []
    progress = Console(stderr=True)
    async with (
        _a_server() as (server, folder),
        _room(server, speaks=True) as (conference, eve),
        chromium(folder, "ann") as ann,
        firefox(folder, "bob") as bob,
    ):
        for page, name in ((ann, "Ann"), (bob, "Bob")):
            await enters(page, await link(server, conference, name))
        await _everyone(ann, bob, eve)
        begun, heard = time.monotonic(), len(eve.heard().pcm)
        for number in range(1, minutes + 1):
            late_ms = await _until(begun + 60.0 * number)
            pcm, heard = eve.heard().pcm[heard:], len(eve.heard().pcm)
            unheard = ""
            try:
                await _everyone(ann, bob, eve)
            except AssertionError as error:
                unheard = f"minute {number}: {error}"
            minute = _Minute(
                unheard,
                await asyncio.to_thread(longest_silence_ms, pcm),
                late_ms,
                (await server.get(f"/conferences/{conference}/quality"))["mouth_to_ear_ms"],
                resident_mib(server.engine_pid()),
                resident_mib(server.process.pid),
            )
            seen.append(minute)
            progress.print(f"minute {number}: {unheard or 'all heard all'}, {minute.delay_ms} ms")
    return seen


async def _everyone(ann: Page, bob: Page, eve: Phone) -> None:
    await asyncio.gather(hears(ann, {BOB, EVE}), hears(bob, {ANN, EVE}), phone_hears(eve, {ANN, BOB}, 20.0))


async def _until(then: float) -> float:
    """Milliseconds that this process was late at the most meanwhile: its phone was, too."""
    late = 0.0
    while (before := time.monotonic()) < then:
        await asyncio.sleep(0.02)
        late = max(late, time.monotonic() - before - 0.02)
    return 1000 * late


@contextlib.asynccontextmanager
async def _a_server() -> AsyncIterator[tuple[Serving, Path]]:
    """It and the browsers share all cores: one is not enough for two browsers."""
    os.sched_setaffinity(0, set(CORES))
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            async with serving(Path(name) / "data") as server:
                yield server, Path(name)
    except AssertionError as error:
        raise NotMeasured(str(error)) from error
    finally:
        os.sched_setaffinity(0, GENERATOR_CORE)


@contextlib.asynccontextmanager
async def _room(server: Serving, speaks: bool = False) -> AsyncIterator[tuple[str, Phone]]:
    """A conference with a phone in it."""
    conference = (await server.create())["id"]
    async with humming("eve") as (eve,):
        if not speaks:
            eve.be_quiet()
        await eve.call(f"sip:{conference}@{server.sip}")
        yield conference, eve
