"""baresip as a phone under remote control: a real SIP stack and a real RTP stack that we have not written.

It says a WAV file and writes down what it hears (module `sndfile`); commands and events go over its `ctrl_tcp` module.
"""

import asyncio
import itertools
import json
import os
import shutil
import socket
import wave
from array import array
from pathlib import Path
from typing import Any

from serving import is_bound

COMMAND_S = 5.0
START_S = 10.0
KINDS = (socket.SOCK_DGRAM, socket.SOCK_STREAM)

CONFIG = """
poll_method epoll
sip_listen 127.0.0.1:{sip_port}
net_interface 127.0.0.1
rtp_ports {rtp_first}-{rtp_last}
call_local_timeout 60
call_max_calls 2
audio_source aufile,{says}
audio_player aubridge,nobody
audio_alert aubridge,nobody
ausrc_srate 8000
auplay_srate 8000
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
snd_path {folder}
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control_port}
"""


def is_installed() -> bool:
    return shutil.which("baresip") is not None


PORTS = 20
"""Of one phone: for SIP, for its control, for RTP."""
_ports = itertools.count(12_000 + os.getpid() % 50 * 100, PORTS)


def free_ports() -> int:
    """The first of `PORTS` that nobody has."""
    return next(
        first
        for first in _ports
        if not any(is_bound(port, kind) for port in range(first, first + PORTS) for kind in KINDS)
    )


class Baresip:
    """One phone. `async with Baresip(...) as phone: await phone.dial("sip:…")`."""

    def __init__(self, name: str, folder: Path, says: Path, first_port: int, codec: str = "PCMU", password: str = ""):
        self.name = name
        self.folder = folder
        self.events: list[dict[str, Any]] = []
        self._control_port = first_port + 8
        self._happened = asyncio.Condition()
        self._responses: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        folder.mkdir(parents=True)
        (folder / "config").write_text(
            CONFIG.format(
                sip_port=first_port,
                rtp_first=first_port + 10,
                rtp_last=first_port + 18,
                says=says,
                folder=folder,
                control_port=self._control_port,
            )
        )
        secret = f";auth_user={name};auth_pass={password}" if password else ""
        (folder / "accounts").write_text(
            f"<sip:{name}@127.0.0.1:{first_port};transport=udp>;regint=0;answermode=auto"
            f";audio_codecs={codec}/8000/1{secret}\n"
        )
        (folder / "contacts").touch()

    async def __aenter__(self) -> "Baresip":
        self._log = (self.folder / "log").open("wb")
        self._process = await asyncio.create_subprocess_exec(
            "baresip", "-f", str(self.folder), stdin=asyncio.subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        async with asyncio.timeout(START_S):
            while True:
                try:
                    self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._control_port)
                    break
                except OSError:
                    assert self._process.returncode is None, (self.folder / "log").read_text()
                    await asyncio.sleep(0.02)
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        self._listening.cancel()
        self._writer.close()
        self._log.close()

    async def dial(self, uri: str, timeout_s: float = 15.0) -> None:
        """Calls `uri`, and returns when it has been answered."""
        await self._command("dial", uri)
        await self.event("CALL_ESTABLISHED", timeout_s)

    async def hang_up(self) -> None:
        await self._command("hangup")

    async def hold(self) -> None:
        await self._command("hold")

    async def resume(self) -> None:
        await self._command("resume")

    async def mute(self) -> None:
        """Toggles: silence is sent instead of the file."""
        await self._command("mute")

    async def press(self, digits: str) -> None:
        for digit in digits:
            await self._command("sndcode", digit)

    async def event(self, kind: str, timeout_s: float = 15.0) -> dict[str, Any]:
        """The first event of this kind, of now or of the past."""
        async with asyncio.timeout(timeout_s), self._happened:
            await self._happened.wait_for(lambda: any(event["type"] == kind for event in self.events))
        return next(event for event in self.events if event["type"] == kind)

    def heard(self) -> array:
        """All that was heard so far, 8 kHz: the phone writes it down as it decodes."""
        pcm = array("h")
        for path in sorted(self.folder.glob("dump-*-dec.wav")):
            # The header is written at the end of the call; until then only the data tells how long it is.
            data = path.read_bytes()[44:]
            pcm.frombytes(data[: len(data) // 2 * 2])
        return pcm

    async def _command(self, command: str, params: str = "") -> dict[str, Any]:
        data = json.dumps({"command": command, "params": params, "token": command}).encode()
        self._writer.write(b"%d:%s," % (len(data), data))
        async with asyncio.timeout(COMMAND_S):
            answer = await self._responses.get()
        assert answer["ok"], (command, params, answer)
        return answer

    async def _listen(self) -> None:
        """Netstrings of JSON: events, and the answers to commands."""
        while True:
            try:
                length = await self._reader.readuntil(b":")
                message = json.loads((await self._reader.readexactly(int(length[:-1]) + 1))[:-1])
            except asyncio.IncompleteReadError:
                return
            if message.get("event"):
                async with self._happened:
                    self.events.append(message)
                    self._happened.notify_all()
            else:
                self._responses.put_nowait(message)


def write_wav(path: Path, pcm: array) -> Path:
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(pcm.tobytes())
    return path
