"""What a test does with a page, whatever browser shows it: looks, clicks, types, and listens to what it plays."""

import asyncio
import base64
import json
from abc import ABC, abstractmethod
from array import array
from pathlib import Path
from typing import Any, Self

from plenary.testing.tones import Pcm

POLL_S = 0.05
UNTIL_S = 15.0
CLICKS_MAX = 5
"""A page that is still being built moves under the mouse."""
COMMAND_S = 30.0
"""A browser that has not answered after this long hangs."""

_FIND = """
(name) => {
    const named = (e) => (e.getAttribute("aria-label") || e.closest("label")?.textContent || e.textContent).trim();
    const all = [...document.querySelectorAll("button, input, select, a, summary")].filter((e) => e.checkVisibility());
    const inDialog = all.filter((e) => e.closest("dialog[open]"));
    const those = inDialog.length ? inDialog : all;
    const found = those.find((e) => named(e) === name) || those.find((e) => named(e).startsWith(name));
    if (!found) return null;
    found.scrollIntoView({ block: "center" });
    const box = found.getBoundingClientRect();
    window.clickedAsMeant = false;
    found.addEventListener("click", () => { window.clickedAsMeant = true; }, { once: true, capture: true });
    return [box.x + box.width / 2, box.y + box.height / 2];
}
"""
"""Where it is; `clickedAsMeant` tells whether it was still there when the click came."""

_LISTEN = """
async (seconds) => {
    const playing = [...document.querySelectorAll("audio")].find(
        (e) => e.srcObject?.getAudioTracks().some((track) => track.readyState === "live"));
    if (!playing || playing.paused) return "";
    const recorder = new MediaRecorder(playing.srcObject);
    const parts = [];
    recorder.ondataavailable = (event) => parts.push(event.data);
    const ended = new Promise((resolve) => { recorder.onstop = resolve; });
    recorder.start();
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    recorder.stop();
    await ended;
    const coded = await new Blob(parts).arrayBuffer();
    const sound = await new OfflineAudioContext(1, 8000, 8000).decodeAudioData(coded);
    const pcm = Int16Array.from(sound.getChannelData(0), (value) => Math.max(-1, Math.min(1, value)) * 32767);
    return btoa(Array.from(new Uint8Array(pcm.buffer), (byte) => String.fromCharCode(byte)).join(""));
}
"""
"""Recorded and decoded by the browser: a machine without a sound card has no running `AudioContext` in Firefox."""


class Page(ABC):
    """One window of one browser process, which has a microphone of its own. `async with Chromium(...) as page:`."""

    name: str

    @abstractmethod
    async def open(self, url: str) -> None:
        """Returns when the page is loaded."""

    @abstractmethod
    async def reload(self) -> None: ...

    @abstractmethod
    async def script(self, function: str, *arguments: Any) -> Any:
        """Calls a JavaScript function with JSON arguments; returns its JSON value, of a promise when it is kept."""

    @abstractmethod
    async def screenshot(self, path: Path) -> None:
        """A PNG of what is to be seen."""

    @abstractmethod
    async def click_at(self, x: float, y: float) -> None: ...

    @abstractmethod
    async def key_down(self, key: str) -> None: ...

    @abstractmethod
    async def key_up(self, key: str) -> None: ...

    @abstractmethod
    async def start(self) -> None: ...

    @abstractmethod
    async def end(self) -> None: ...

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def click(self, name: str) -> None:
        """The button, link or field with this name, as a screen reader says it; waits until there is one."""
        for _ in range(CLICKS_MAX):
            await self.click_at(*await self._until(f"no {name!r} to click", _FIND, name))
            if await self.script("() => window.clickedAsMeant"):
                return
        raise AssertionError(f"{self.name}: {name!r} runs away from the mouse")

    async def press(self, key: str) -> None:
        await self.key_down(key)
        await self.key_up(key)

    async def type(self, text: str) -> None:
        for key in text:
            await self.press(key)

    async def text(self) -> str:
        """All that is to be read."""
        return await self.script("() => document.body.innerText")

    async def sees(self, words: str, timeout_s: float = UNTIL_S) -> None:
        """Returns when these words are to be read."""
        contains = "(words) => document.body.innerText.includes(words)"
        try:
            await self._until(words, contains, words, timeout_s=timeout_s)
        except AssertionError:
            raise AssertionError(f"{self.name} does not see {words!r} but:\n{await self.text()}") from None

    async def until(self, function: str, *arguments: Any) -> Any:
        """The first value of a JavaScript function that is true."""
        return await self._until(function.strip(), function, *arguments)

    async def hears(self, seconds: float = 1.0) -> Pcm:
        """What the page plays from now on, 8 kHz; empty if it plays nothing."""
        coded = await self.script(_LISTEN, seconds)
        pcm = array("h")
        pcm.frombytes(base64.b64decode(coded))
        return pcm

    async def _until(self, what: str, function: str, *arguments: Any, timeout_s: float = UNTIL_S) -> Any:
        """The first value of `function` that is true."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (value := await self.script(function, *arguments)):
                    await asyncio.sleep(POLL_S)
                return value
        except TimeoutError:
            raise AssertionError(f"{self.name}: {what}") from None


def expression(function: str, arguments: tuple[Any, ...]) -> str:
    return f"({function.strip()})({', '.join(json.dumps(argument) for argument in arguments)})"
