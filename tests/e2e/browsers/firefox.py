"""Firefox, driven by Marionette, the protocol that is built into it: JSON with its length before it, over TCP."""

import asyncio
import base64
import itertools
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from .page import COMMAND_S, Page, expression

START_S = 40.0
MESSAGE_BYTES_MAX = 64 * 2**20
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c"}
"""Keys without a character, as WebDriver writes them."""

PREFERENCES: dict[str, bool | int | str] = {
    "marionette.port": 0,
    "media.navigator.streams.fake": True,
    "media.peerconnection.ice.loopback": True,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.volume_scale": "0.0",
    "network.dns.disableIPv6": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.trr.mode": 5,
    "app.update.enabled": False,
    "app.normandy.enabled": False,
    "app.shield.optoutstudies.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.provider.mozilla.updateURL": "",
    "browser.region.update.enabled": False,
    "browser.search.update": False,
    "browser.newtabpage.enabled": False,
    "browser.startup.page": 0,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.server": "",
    "extensions.update.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "services.settings.server": "http://127.0.0.1:9",
    "dom.push.connection.enabled": False,
    "geo.enabled": False,
}
"""With a tone for a microphone, and with no look at anything but this machine."""


class Firefox(Page):
    """`says_hz`: the tone that its microphone hears without end. Without `allowed` the microphone is refused."""

    def __init__(self, name: str, folder: Path, says_hz: int = 440, allowed: bool = True) -> None:
        self.name = name
        self._folder = folder
        self._preferences = PREFERENCES | {
            "media.navigator.audio.fake_frequency": says_hz,
            # Asked and answered, not left out: only pages that have a microphone are shown the loopback interface.
            "permissions.default.microphone": 1 if allowed else 2,
        }
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[Any, Any]]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def start(self) -> None:
        profile = self._folder / "profile"
        profile.mkdir(parents=True)
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in self._preferences.items()]
        (profile / "user.js").write_text("\n".join(lines))
        with (self._folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "firefox-esr", "--headless", "--no-remote", "--marionette", "--profile", str(profile), "about:blank",
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(START_S):
            port = await self._port(profile / "MarionetteActivePort")
        reader, self._writer = await asyncio.open_connection("127.0.0.1", port, limit=MESSAGE_BYTES_MAX)
        await _message(reader)  # who it is
        self._reading = asyncio.create_task(self._read(reader))
        await self.command("WebDriver:NewSession", capabilities={"alwaysMatch": {"unhandledPromptBehavior": "ignore"}})
        await self.command("WebDriver:SetTimeouts", script=int(COMMAND_S * 1000))

    async def end(self) -> None:
        if self._writer is not None:
            self._reading.cancel()
            self._writer.close()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            await self._process.wait()

    async def command(self, name: str, **parameters: Any) -> Any:
        """A command of Marionette; most are those of WebDriver."""
        assert self._writer is not None
        number = next(self._numbers)
        data = json.dumps([0, number, name, parameters]).encode()
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._writer.write(b"%d:%s" % (len(data), data))
        async with asyncio.timeout(COMMAND_S):
            error, result = await waiting
        assert error is None, (name, error)
        return result

    async def open(self, url: str) -> None:
        await self.command("WebDriver:Navigate", url=url)

    async def reload(self) -> None:
        await self.command("WebDriver:Refresh")

    async def script(self, function: str, *arguments: Any) -> Any:
        script = f"""
            const done = arguments[arguments.length - 1];
            Promise.resolve({expression(function, arguments)}).then(done, (error) => done({{ thrown: String(error) }}));
        """
        # In the page's own world, as the console is: audio of the page is not to be looked at from another.
        value = (await self.command("WebDriver:ExecuteAsyncScript", script=script, args=[], sandbox=None))["value"]
        assert not (isinstance(value, dict) and "thrown" in value), value
        return value

    async def screenshot(self, path: Path) -> None:
        answer = await self.command("WebDriver:TakeScreenshot", full=False)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["value"]))

    async def click_at(self, x: float, y: float) -> None:
        moved = {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}
        down, up = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        await self._perform({"type": "pointer", "id": "mouse", "actions": [moved, down, up]})

    async def key_down(self, key: str) -> None:
        await self._key("keyDown", key)

    async def key_up(self, key: str) -> None:
        await self._key("keyUp", key)

    async def _key(self, what: str, key: str) -> None:
        await self._perform({"type": "key", "id": "keyboard", "actions": [{"type": what, "value": KEYS.get(key, key)}]})

    async def _perform(self, source: dict[str, Any]) -> None:
        await self.command("WebDriver:PerformActions", actions=[source])

    async def _port(self, path: Path) -> int:
        """It writes the port that it has chosen into its profile."""
        assert self._process is not None
        while True:
            with suppress(FileNotFoundError, ValueError):
                return int(path.read_text())
            assert self._process.returncode is None, (self._folder / "log").read_text()
            await asyncio.sleep(0.05)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                _, number, error, result = await _message(reader)
                waiting = self._waiting.pop(number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result((error, result))


async def _message(reader: asyncio.StreamReader) -> Any:
    length = await reader.readuntil(b":")
    return json.loads(await reader.readexactly(int(length[:-1])))
