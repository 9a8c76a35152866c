"""linphonec as a phone under remote control: a second real phone that we have not written, on other libraries.

It says a WAV file and writes down what it hears; commands go to its standard input, a line each, and what happens comes
out as sentences for people. It sends from an address of this machine, to this machine only.
"""

import asyncio
import os
import re
import shutil
from array import array
from pathlib import Path

COMMAND_S = 5.0
CALL_S = 20.0
"""A phone that is started with DTLS makes itself a key of RSA 3072 first, in seconds."""
END_S = 5.0

CODECS = {"opus": (48_000, 2), "G722": (8_000, 1), "PCMU": (8_000, 1), "PCMA": (8_000, 1)}
"""By encoding name: Hz and channels as SDP has them (8000 for G.722 is an old mistake, RFC 3551 section 4.5.2)."""

CONFIG = """
[sip]
sip_port={sip_port}
sip_tcp_port=-1
sip_tls_port=-1
contact="{name}" <sip:{name}@127.0.0.1>
use_ipv6=0
guess_hostname=0
media_encryption={encryption}
media_encryption_mandatory={mandatory}
srtp_crypto_suites={suites}
[rtp]
audio_rtp_port={rtp_first}-{rtp_last}
[net]
mtu=1300
firewall_policy=0
ipv6_migration_done=1
[sound]
echocancellation=0
[video]
enabled=0
capture=0
display=0
"""


def is_installed() -> bool:
    return shutil.which("linphonec") is not None


class Linphone:
    """One phone. `async with Linphone(...) as phone: await phone.dial("sip:…")`.

    `encryption`: empty, `dtls`, or for SDES the suites that are offered, with commas. It insists on it; otherwise it
    would call again in the clear after a 488.
    """

    def __init__(self, name: str, folder: Path, says: Path, first_port: int, codec: str, encryption: str = ""):
        self.name = name
        self._folder = folder
        self._says = says
        self._codec = codec
        self._records = 0
        self._said = ""
        self._happened = asyncio.Condition()
        (folder / ".local/share/linphone").mkdir(parents=True)
        suites = encryption if "_" in encryption else ""
        config = CONFIG.format(
            name=name,
            sip_port=first_port,
            rtp_first=first_port + 10,
            rtp_last=first_port + 18,
            encryption="srtp" if suites else encryption or "none",
            suites=suites,
            mandatory=int(bool(encryption)),
        )
        for index, (known, (clock_hz, channels)) in enumerate(CODECS.items()):
            config += f"[audio_codec_{index}]\nmime={known}\nrate={clock_hz}\nchannels={channels}\n"
            config += f"enabled={int(known == codec)}\n"
        (folder / "rc").write_text(config)

    @property
    def rate_hz(self) -> int:
        """Of `heard()`."""
        return {"opus": 48_000, "G722": 16_000}.get(self._codec, 8_000)

    async def __aenter__(self) -> "Linphone":
        self._process = await asyncio.create_subprocess_exec(
            "linphonec", "-c", str(self._folder / "rc"), "-d", "6", "-l", str(self._folder / "log"),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={"HOME": str(self._folder), "PATH": os.environ["PATH"]},
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read())
        await self._command("soundcard use files", "Using wav files", CALL_S)
        await self._command(f"play {self._says}")
        await self._write_down()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            async with asyncio.timeout(END_S):
                await self._command("terminate")
                await self._command("quit")
                await self._process.wait()
        except (OSError, TimeoutError, AssertionError):
            self._process.kill()
            await self._process.wait()
        self._reading.cancel()

    async def dial(self, uri: str) -> None:
        """Calls `uri`, and returns when it has been answered."""
        await self._command(f"call {uri}", "Media streams established", CALL_S)

    async def refused(self, uri: str) -> str:
        """Calls `uri`, and returns its log once the call has come to nothing: the messages of SIP are in it."""
        await self._command(f"call {uri}", "error", CALL_S)
        return (self._folder / "log").read_text(errors="replace")

    async def hold(self) -> None:
        await self._command("pause", "is now paused")

    async def resume(self) -> None:
        await self._command("resume", "Media streams established")

    async def change_codec(self, codec: str) -> None:
        """While it holds: the re-INVITE of `resume` offers this one instead. `heard()` begins anew."""
        known = await self._command("codec list", "PCMA")
        for index, name in re.findall(r"(\d+): (\w+) ", known):
            if name in CODECS:
                await self._command(f"codec {'enable' if name == codec else 'disable'} {index}", f"{index}: {name}")
        self._codec = codec
        await self._write_down()

    def listen_anew(self) -> None:
        """From here on `heard()` begins."""
        self._heard_from += len(self.heard())

    def heard(self) -> array:
        """All that was heard so far, at `rate_hz`: the phone writes it down as it decodes."""
        pcm = array("h")
        path = self._record()
        data = path.read_bytes()[44:] if path.exists() else b""
        pcm.frombytes(data[: len(data) // 2 * 2])
        return pcm[self._heard_from :]

    def _record(self) -> Path:
        return self._folder / f"heard{self._records}.wav"

    async def _write_down(self) -> None:
        """Into a file of its own, from the next (re-)INVITE on: each has one rate."""
        self._records += 1
        self._heard_from = 0
        await self._command(f"record {self._record()}")

    async def _command(self, command: str, answer: str = "", timeout_s: float = COMMAND_S) -> str:
        """Returns all that it says up to the end of `answer`."""
        before = len(self._said)
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        await self._process.stdin.drain()
        try:
            async with asyncio.timeout(timeout_s), self._happened:
                await self._happened.wait_for(lambda: answer in self._said[before:])
        except TimeoutError:
            raise AssertionError(f"{self.name}: '{command}' is not answered: {self._said[before:]}") from None
        return self._said[before:]

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while data := await self._process.stdout.read(4096):
            async with self._happened:
                self._said += data.decode(errors="replace")
                self._happened.notify_all()
