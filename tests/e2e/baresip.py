"""baresip as a phone under remote control: a real SIP stack and a real RTP stack that we have not written.

It says a WAV file and writes down what it hears (module `sndfile`); commands and events go over its `ctrl_tcp` module.
The file has the rate and the channels of its codec (`CODECS`): it resamples badly, and Opus has two channels in it.
"""

import asyncio
import json
import shutil
import wave
from array import array
from pathlib import Path
from typing import Any

CODECS = {
    "opus": ("opus/48000/2", 48_000, 2),
    "G722": ("G722/16000/1", 16_000, 1),
    "PCMU": ("PCMU/8000/1", 8_000, 1),
    "PCMA": ("PCMA/8000/1", 8_000, 1),
}
"""By encoding name: how it is called in `accounts`, Hz, channels."""
COMMAND_S = 5.0
START_S = 30.0

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
ausrc_srate {rate_hz}
auplay_srate {rate_hz}
ausrc_channels {channels}
auplay_channels {channels}
module_path /usr/lib/baresip/modules
module g711.so
module g722.so
module opus.so
module srtp.so
module dtls_srtp.so
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


class Baresip:
    """One phone. `async with Baresip(...) as phone: await phone.dial("sip:…")`.

    `encryption`: empty, `srtp` (keys beside RTP/AVP), `srtp-mand` (RTP/SAVP) or `dtls_srtp`.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        says: Path,
        first_port: int,
        codec: str = "PCMU",
        password: str = "",
        encryption: str = "",
    ):
        self.name = name
        codec_called, self.rate_hz, self._channels = CODECS[codec]
        self.folder = folder
        self.events: list[dict[str, Any]] = []
        self._heard_from = 0
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
                rate_hz=self.rate_hz,
                channels=self._channels,
            )
        )
        secret = f";auth_user={name};auth_pass={password}" if password else ""
        keys = f";mediaenc={encryption}" if encryption else ""
        (folder / "accounts").write_text(
            f"<sip:{name}@127.0.0.1:{first_port};transport=udp>;regint=0;answermode=auto"
            f";audio_codecs={codec_called}{secret}{keys}\n"
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

    async def refused(self, uri: str) -> str:
        """Calls `uri`, and returns what its user is told when the call comes to nothing."""
        await self._command("dial", uri)
        return (await self.event("CALL_CLOSED"))["param"]

    def listen_anew(self) -> None:
        """From here on `heard()` begins."""
        self._heard_from += len(self.heard())

    def heard(self) -> array:
        """All that was heard so far, at `rate_hz`: the phone writes it down as it decodes.

        After a hold of its own it writes nothing down any more, though it hears (baresip 1.0).
        """
        pcm = array("h")
        for path in sorted(self.folder.glob("dump-*-dec.wav")):
            # The header is written at the end of the call; until then only the data tells how long it is.
            data = path.read_bytes()[44:]
            pcm.frombytes(data[: len(data) // 2 * 2])
        return pcm[:: self._channels][self._heard_from :]

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


def write_wav(path: Path, pcm: array, rate_hz: int = 8000, channels: int = 1, times: int = 1) -> Path:
    """Mono or, with the same in both ears, stereo; `times` over."""
    both = pcm if channels == 1 else array("h", [sample for sample in pcm for _ in range(channels)])
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(both.tobytes() * times)
    return path
