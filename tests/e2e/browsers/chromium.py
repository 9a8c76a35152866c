"""Chromium, driven by the DevTools protocol over a pipe (messages of JSON that end with a zero byte)."""

import asyncio
import base64
import fcntl
import itertools
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from .page import COMMAND_S, Page, expression

MESSAGE_BYTES_MAX = 64 * 2**20
"""A screenshot is one message."""

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
    "--disable-domain-reliability", "--disable-default-apps", "--disable-extensions", "--mute-audio",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows", "--remote-debugging-pipe",
    "--use-fake-device-for-media-stream", "--allow-loopback-in-peer-connection",
]  # fmt: skip
"""As root, without a screen, and with no look at anything but this machine."""

KEYS = {"Tab": ("", 9), "Enter": ("\r", 13), "Escape": ("", 27)}
"""Keys without a character: what they type, and their number."""


class Chromium(Page):
    """`says`: a WAV file that its microphone hears over and over. Without `allowed` the microphone is refused."""

    def __init__(self, name: str, folder: Path, says: Path | None = None, allowed: bool = True, *flags: str) -> None:
        self.name = name
        self._folder = folder
        self._flags = [*FLAGS, f"--user-data-dir={folder / 'profile'}", *flags]
        self._flags.append("--use-fake-ui-for-media-stream" if allowed else "--deny-permission-prompts")
        if says is not None:
            self._flags.append(f"--use-file-for-fake-audio-capture={says}")
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.errors: list[str] = []
        """What stands as an error in the console of the page."""
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        theirs_in, ours_out = _pipe()
        ours_in, theirs_out = _pipe()

        def take_places() -> None:
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        with (self._folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "chromium", *self._flags, "about:blank", stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=(3, 4), preexec_fn=take_places,
            )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._out = ours_out
        reader = asyncio.StreamReader(limit=MESSAGE_BYTES_MAX)
        self._in, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours_in, "rb", 0)
        )
        self._reading = asyncio.create_task(self._read(reader))
        targets = await self._command("Target.getTargets")
        page = next(each for each in targets["targetInfos"] if each["type"] == "page")
        attached = await self._command("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        await self.command("Page.enable")
        await self.command("Log.enable")
        await self.command("Runtime.enable")

    async def end(self) -> None:
        if self._process is None:
            return
        self._reading.cancel()
        self._in.close()
        os.close(self._out)
        with suppress(ProcessLookupError):
            self._process.terminate()
        await self._process.wait()

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, to the page."""
        return await self._command(method, self._session, **params)

    async def refuse_microphone(self, refused: bool = True) -> None:
        """As a person who has said no (or yes) once and for all: pages are not asked about it any more."""
        setting = "denied" if refused else "granted"
        await self._command("Browser.setPermission", permission={"name": "microphone"}, setting=setting)

    async def resize(self, width: int, height: int) -> None:
        """A screen of this size, in CSS pixels; one narrower than a tablet's is a phone's."""
        phone = min(width, height) < 600
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )

    async def before_each_page(self, function: str) -> None:
        """Calls a JavaScript function in each page that is loaded from now on, before anything of its own runs."""
        await self.command("Page.addScriptToEvaluateOnNewDocument", source=expression(function, ()))

    async def open(self, url: str) -> None:
        await self._load("Page.navigate", url=url)

    async def reload(self) -> None:
        await self._load("Page.reload")

    async def script(self, function: str, *arguments: Any) -> Any:
        answer = await self.command(
            "Runtime.evaluate", expression=expression(function, arguments), awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def screenshot(self, path: Path) -> None:
        answer = await self.command("Page.captureScreenshot")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["data"]))

    async def click_at(self, x: float, y: float) -> None:
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def key_down(self, key: str) -> None:
        text, code = KEYS.get(key, (key, 0))
        await self.command(
            "Input.dispatchKeyEvent", type="keyDown", key=key, text=text, code=key, windowsVirtualKeyCode=code
        )

    async def key_up(self, key: str) -> None:
        await self.command("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def _load(self, method: str, **params: Any) -> None:
        self._loaded.clear()
        await self.command(method, **params)
        async with asyncio.timeout(COMMAND_S):
            await self._loaded.wait()

    async def _command(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        os.write(self._out, json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(COMMAND_S):
            answer = await waiting
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                message = json.loads((await reader.readuntil(b"\0"))[:-1])
            except asyncio.IncompleteReadError:
                return
            if "id" in message:
                waiting = self._waiting.pop(message["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            else:
                self._happened(message["method"], message.get("params", {}))

    def _happened(self, what: str, about: dict[str, Any]) -> None:
        match what:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Log.entryAdded" if about["entry"]["level"] == "error":
                self.errors.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")
            case "Runtime.exceptionThrown":
                self.errors.append(str(about["exceptionDetails"]))
            case _:
                pass


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are not 3 or 4: those are the places that the browser looks at."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
