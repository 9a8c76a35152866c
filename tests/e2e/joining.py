"""Browsers on the join page of a server: they come in by links, and what they hear proves that they are in."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from baresip import write_wav
from browsers import Chromium, Firefox, Page
from hearing import TONES
from serving import Serving

from plenary.testing.tones import Pcm, silence, tone, tones_in

HEAR_S = 20.0


async def link(server: Serving, conference: str, name: str, **body: Any) -> str:
    """The URL of a join page for this person."""
    answer = await server.rest.post(f"/conferences/{conference}/tokens", json={"name": name} | body)
    assert answer.is_success, answer.text
    return f"http://{server.http}{answer.json()['url']}"


@contextlib.asynccontextmanager
async def chromium(folder: Path, name: str, **options: Any) -> AsyncGenerator[Chromium]:
    """A browser whose microphone hears the tone of `name`, in pieces: one that never ends would be taken for noise."""
    (folder / name).mkdir()
    says = write_wav(folder / name / "says.wav", pieces(TONES[name]))
    async with Chromium(name, folder / name, says, **options) as page:
        yield page


@contextlib.asynccontextmanager
async def firefox(folder: Path, name: str, **options: Any) -> AsyncGenerator[Page]:
    """A browser whose microphone hears the tone of `name`."""
    async with Firefox(name, folder / name, TONES[name], **options) as page:
        yield page


def pieces(hz: float) -> Pcm:
    return (tone(hz, 0.4) + silence(0.1)) * 4


async def enters(page: Page, url: str) -> None:
    """Opens the link and joins; returns when the page shows the hall."""
    await page.open(url)
    await page.click("Join")
    await page.sees("Leave")


async def hears(page: Page, wanted: set[int], timeout_s: float = HEAR_S) -> None:
    """Returns when the page plays these tones, and no other of `TONES`."""
    heard: set[float] = set()
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                sound = await page.hears()
                heard = await asyncio.to_thread(tones_in, sound, TONES.values())
                if heard == wanted:
                    return
    except TimeoutError:
        raise AssertionError(f"{page.name} hears {heard} instead of {wanted}") from None
