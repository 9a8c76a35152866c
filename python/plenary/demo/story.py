"""The story of the demo: a real server, real SIP and RTP over loopback, recorded human speech, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import signal
import socket
import sys
import tempfile
import wave
from array import array
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import httpx
import structlog

from ..api.examples import CREATE_CONFERENCE as EXAMPLE
from ..config import Config, Settings
from ..keys import new_key
from ..running import RunningServer, running
from ..speech.prompts import Prompt
from ..speech.sound import RATE
from ..testing.phone import Phone
from ..testing.voice import PhoneError
from . import hearing
from .view import CallerState, View
from .voices import VOICES, NoVoices

TITLE = "Plenary: a whole conference, phoned and measured"
TALK_S = 4.5
"""How long everyone talks at once."""
SAID_S = 3.5
"""How much of that is looked for in what the others heard; the rest is room for the delay."""
DELAY_MAX_MS = 400
"""Where a voice may begin in what is heard: buffers and the network."""
WAIT_S = 15.0
"""Patience with each step."""
METERS_S = 0.08
RATE_HZ = 8000


async def run_demo(stay: bool) -> int:
    """Tells the story. Returns 0 if everything that was measured was true. With `stay` the server stays up after it,
    until Ctrl-C."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        voices = {voice.name: voice.speech() for voice in VOICES}
    except NoVoices as error:
        print(f"plenary demo: {error}", file=sys.stderr)  # noqa: T201
        return 2
    with tempfile.TemporaryDirectory(prefix="plenary-demo-") as folder, View(TITLE) as view:
        key = new_key()
        config = _config(Path(folder), key)
        (phones,) = config.sip
        taken = [str(port) for port, place in ((8080, config.http), (5060, phones.at)) if place.port != port]
        why = f" (taken: {', '.join(taken)})" if taken else ""
        view.doing(f"starting a server: REST on {config.http}, SIP on {phones.at}{why}, data in {folder}")
        async with running(config) as up:
            view.fact("the server is up and ready", not up.server.trouble())
            async with httpx.AsyncClient(
                base_url=f"http://{config.http}", headers={"Authorization": f"Bearer {key}"}, timeout=WAIT_S
            ) as rest:
                try:
                    await _Story(view, up, rest, voices).tell()
                except (TimeoutError, httpx.HTTPError, OSError, wave.Error, PhoneError) as error:
                    view.fact(f"the story came to its end ({type(error).__name__}: {error})", False)
                view.__exit__()
                style = "bold green" if view.all_true else "bold red"
                view.console.print(f"  {view.verdict()}", style=style, highlight=False, soft_wrap=True)
                status = 0 if view.all_true else 1
                if stay:
                    await _stay(view, config, key, rest)
    return status


class _Story:
    def __init__(self, view: View, up: RunningServer, rest: httpx.AsyncClient, voices: dict[str, array[int]]) -> None:
        self.view = view
        self.up = up
        self.rest = rest
        self.voices = voices
        self.phones: dict[str, Phone] = {}
        self.position = 0
        # Ctrl-C goes to all processes of a terminal; this one ends when the story does.
        self.ears = ProcessPoolExecutor(1, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN))

    async def tell(self) -> None:
        async with contextlib.AsyncExitStack() as ending:
            ending.callback(self.ears.shutdown)
            for name in self.voices:
                self.view.callers[name] = CallerState(name)
                self.phones[name] = await ending.enter_async_context(Phone(name))
            meters = asyncio.create_task(self._meters())
            ending.callback(meters.cancel)
            conference = await self._create()
            await self._dial_in(conference)
            recording = await self._everyone_talks(conference)
            await self._check_recording(recording)
            await self._delete(conference)
            await self._look_at_log(conference)

    async def _create(self) -> str:
        self.view.doing("POST /v1.0/conferences: the example of the documentation")
        answer = await self.rest.post("/v1.0/conferences", json=EXAMPLE)
        created = answer.json()
        conference = created.get("id", "")
        await self._until(lambda: self._conference_is(conference, "progressing"))
        self.view.fact("the conference is created and takes calls", answer.status_code == 200, conference)
        return conference

    async def _dial_in(self, conference: str) -> None:
        greeting = await self._prompt("pre_actions")
        uri = f"sip:{conference}@{self.up.config.sip[0].at}"
        self.view.doing(f"{', '.join(self.phones)} dial {uri}")

        async def call(phone: Phone) -> None:
            self.view.callers[phone.name].status = "dialling"
            await phone.call(uri)
            self.view.callers[phone.name].status = "answered: pre_actions speak"

        await asyncio.gather(*(call(phone) for phone in self.phones.values()))
        await self._until(lambda: self._participants(conference, len(self.phones)))
        await asyncio.sleep(0.2)
        for phone in self.phones.values():
            self.view.callers[phone.name].status = "in the room"
        matches = await self._found(_pcm(greeting), [phone.heard().pcm for phone in self.phones.values()])
        self.view.fact(
            "every caller heard the whole greeting, word for word, before the room",
            all(match.correlation > 0.9 for match in matches),
            f"correlation {_from_to([match.correlation for match in matches], 2)}",
        )

    async def _everyone_talks(self, conference: str) -> str:
        answer = await self.rest.post(f"/v1.0/conferences/{conference}/recording_start")
        recording = answer.json().get("recording_id", "")
        self.view.doing("recording; all three talk at once")
        began = asyncio.get_running_loop().time()
        for name, phone in self.phones.items():
            phone.say(self.voices[name][: int(TALK_S * RATE_HZ)])
            self.view.callers[name].status = "talking"
        await asyncio.sleep(TALK_S + 0.3)
        for name in self.phones:
            self.view.callers[name].status = "in the room"
        await self._measure(began)
        await self.rest.post(f"/v1.0/conferences/{conference}/recording_stop")
        return recording

    async def _measure(self, began: float) -> None:
        self.view.doing("measuring who was heard by whom")
        right, delays, gains = True, list[int](), list[float]()
        for listener, phone in self.phones.items():
            heard = phone.heard().between(began, began + TALK_S + 0.5)
            for speaker, said in self.voices.items():
                window = said[: int(SAID_S * RATE_HZ)]
                (match,) = await self._found(window, [heard], DELAY_MAX_MS)
                if speaker == listener:
                    right = right and match.is_absent
                    self.view.matrix[listener, speaker] = "[dim]no[/]" if match.is_absent else "[red]ECHO[/]"
                else:
                    right = right and match.is_heard
                    delays.append(match.at_ms)
                    said_so = "[green]yes[/]" if match.is_heard else "[red]NO[/]"
                    figures = f"{match.piecewise_gain:.2f} {match.at_ms} ms"
                    self.view.matrix[listener, speaker] = f"{said_so} [dim]{figures}[/]"
                    gains.append(match.piecewise_gain)
        self.view.fact(
            "everyone heard everyone else, and nobody himself",
            right,
            f"gain {_from_to(gains, 2)}, mouth to ear {_from_to(delays)} ms",
        )
        reception = [phone.reception for phone in self.phones.values()]
        self.view.fact(
            "no packet was lost, and none was late",
            not any(one.lost or one.gaps for one in reception),
            f"{sum(one.packets for one in reception)} packets, "
            f"longest pause {max(one.longest_gap_ms for one in reception):.0f} ms",
        )

    async def _check_recording(self, recording: str) -> None:
        self.view.doing(f"GET /v1.0/recordingfiles/{recording}")
        await self._until(lambda: self._recording_ended(recording))
        answer = await self.rest.get(f"/v1.0/recordingfiles/{recording}")
        pcm, seconds = _read_wav(answer.content)
        # It begins with the first sound, so that of the very first word a few milliseconds may be missing.
        windows = [said[RATE_HZ // 2 : int(SAID_S * RATE_HZ)] for said in self.voices.values()]
        matches = [match for window in windows for match in await self._found(window, [pcm], 1000 + DELAY_MAX_MS)]
        self.view.fact(
            "the recording is a valid WAV file and holds all three voices",
            all(match.is_heard for match in matches),
            f"{seconds:.1f} s, gain {_from_to([match.piecewise_gain for match in matches], 2)}",
        )

    async def _delete(self, conference: str) -> None:
        farewell = await self._prompt("post_actions")
        self.view.doing(f"DELETE /v1.0/conferences/{conference}")
        began = asyncio.get_running_loop().time()
        await self.rest.delete(f"/v1.0/conferences/{conference}")
        for phone in self.phones.values():
            self.view.callers[phone.name].status = "post_actions speak"
        async with asyncio.timeout(WAIT_S):
            reasons = await asyncio.gather(*(phone.ended for phone in self.phones.values()))
        for phone in self.phones.values():
            self.view.callers[phone.name].status = "hung up by the server"
        heard = [phone.heard().between(began, began + WAIT_S) for phone in self.phones.values()]
        matches = await self._found(_pcm(farewell), heard)
        self.view.fact(
            "every caller heard the whole farewell, then was hung up",
            all(match.correlation > 0.9 for match in matches) and set(reasons) == {"bye"},
            f"correlation {_from_to([match.correlation for match in matches], 2)}",
        )

    async def _look_at_log(self, conference: str) -> None:
        await self._until(lambda: self._conference_is(conference, "terminated"))
        entries = (await self.rest.get(f"/v1.0/events?after=0&limit=1000&conference_id={conference}")).json()["result"]
        numbers = [entry["number"] for entry in entries if entry["number"]]
        self.view.fact(
            "the conference is terminated, and the event log tells all of it without a gap",
            numbers == list(range(1, len(numbers) + 1))
            and [entry["type"] for entry in entries].count("conference_deleted") == 1,
            f"{len(entries)} events",
        )

    # --- Looking -------------------------------------------------------------------------------------------------

    async def _found(
        self, said: array[int], heard: list[array[int]], window_ms: int | None = None
    ) -> list[hearing.Match]:
        """`hearing.find` in a process of its own: the phones here must not miss a packet while it counts."""
        loop = asyncio.get_running_loop()
        looks = [loop.run_in_executor(self.ears, hearing.find, said, one, window_ms) for one in heard]
        return list(await asyncio.gather(*looks))

    async def _until(self, true: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not await true():
                await asyncio.sleep(0.05)

    async def _conference_is(self, conference: str, status: str) -> bool:
        return (await self.rest.get(f"/v1.0/conferences/{conference}")).json().get("status") == status

    async def _participants(self, conference: str, number: int) -> bool:
        inside = (await self.rest.get(f"/v1.0/conferences/{conference}")).json()["conferencecall_ids"]
        return len(inside) == number

    async def _recording_ended(self, recording: str) -> bool:
        return (await self.rest.get(f"/v1.0/recordings/{recording}")).json()["status"] == "ended"

    async def _prompt(self, actions: str) -> Prompt:
        """What the server speaks for these actions, to compare what was heard with."""
        return await self.up.server.prompts.prepare(**EXAMPLE[actions][0]["option"])

    async def _meters(self) -> None:
        """Keeps the live picture alive: levels of the last moment, and the log."""
        while True:
            for name, phone in self.phones.items():
                caller = self.view.callers[name]
                caller.heard_dbfs = hearing.level_dbfs(phone.heard().last(0.2)) if phone.in_call else float("-inf")
                talking = caller.status == "talking" and phone.said_at is not None
                at = int((asyncio.get_running_loop().time() - (phone.said_at or 0.0)) * RATE_HZ) if talking else 0
                caller.said_dbfs = hearing.level_dbfs(self.voices[name][at : at + 1600]) if talking else float("-inf")
            answer = (await self.rest.get(f"/v1.0/events?after={self.position}&limit=1000")).json()
            self.position = answer["next_position"]
            for entry in answer["result"]:
                self.view.event(f"{entry['tm'][11:23]}  {entry['type']:<26}{entry['cause']}")
            await asyncio.sleep(METERS_S)


async def _stay(view: View, config: Config, key: str, rest: httpx.AsyncClient) -> None:
    """Leaves a conference to be called, and shows the log until the user has enough."""
    body = EXAMPLE | {"name": "demo", "settings": {"aliases": ["demo"]}}
    conference = (await rest.post("/v1.0/conferences", json=body)).json()["id"]
    base = f"http://{config.http}"
    view.console.print(
        f"""
  The server stays up until Ctrl-C; then all of it is gone. Call it from any SIP phone on this machine at

    [bold]sip:demo@{config.sip[0].at}[/]

  or without a phone, with a virtual one:

    .venv/bin/python examples/call.py sip:demo@{config.sip[0].at} --seconds 5 --hear heard.wav

  Look at it, record it, end it; the API is described at [bold]{base}/docs[/]

    export KEY={key}
    export CONFERENCE={base}/v1.0/conferences/{conference}
    curl -s $CONFERENCE -H "Authorization: Bearer $KEY"
    curl -s -X POST $CONFERENCE/recording_start -H "Authorization: Bearer $KEY"
    curl -s -X DELETE $CONFERENCE -H "Authorization: Bearer $KEY"

  What happens (times in UTC):
""",
        highlight=False,
        soft_wrap=True,
    )
    position = (await rest.get("/v1.0/events?after=0&limit=1000")).json()["next_position"]
    with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
        while True:
            answer = (await rest.get(f"/v1.0/events?after={position}&wait_s=10")).json()
            position = answer["next_position"]
            for entry in answer["result"]:
                line = f"    {entry['tm'][11:23]}  {entry['type']:<26}{entry['cause']}"
                view.console.print(line, highlight=False, style="dim")


def _config(folder: Path, key: str) -> Config:
    """The usual ports where they are free, others where not."""
    http = _free(8080, socket.SOCK_STREAM)
    sip = _free(5060, socket.SOCK_DGRAM)
    return Config.from_settings(
        Settings(
            http=f"127.0.0.1:{http}",
            sip=(f"127.0.0.1:{sip}",),
            data=folder,
            access_key=key,
            webrtc_port=0,
            recording_rate=RATE_HZ,
        )
    )


def _free(port: int, kind: socket.SocketKind) -> int:
    for wanted in (port, 0):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise OSError("no free port on loopback")


def _from_to(values: Sequence[float], digits: int = 0) -> str:
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _pcm(prompt: Prompt) -> array[int]:
    """As a telephone carries it. The mean of each two samples is a low pass that is good enough to compare with."""
    pcm = array("h", prompt.pcm)
    assert RATE == 2 * RATE_HZ
    return array("h", [(pcm[at] + pcm[at + 1]) // 2 for at in range(0, len(pcm) - 1, 2)])


def _read_wav(data: bytes) -> tuple[array[int], float]:
    with wave.open(io.BytesIO(data), "rb") as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, RATE_HZ)
        return array("h", reader.readframes(reader.getnframes())), reader.getnframes() / RATE_HZ
