"""The server's side of the link to the media engine.

`EngineLink` is sans-I/O: bytes in and out, core commands in, core events out. `EngineConnection` moves its bytes over
a Unix socket, and comes back when the socket closes.

How the link works. Each connection starts with our hello, which says how far in which engine's events we are. The
engine welcomes us with a snapshot of what it holds, then repeats what we have not acknowledged. Only when all of that
is delivered comes `EngineReady`, so that the switch compares its picture with the snapshot when nothing older is left
to hear. The server handles events, commits their consequences together with `position`, and then acknowledges: what a
crash loses the engine repeats, and what it repeats needlessly is dropped here by its number. Of an engine that is not
the one we knew, what happened before its welcome concerns nobody here and is dropped as well.

Commands are not kept for an engine that is away: the switch reconciles at `EngineReady`, and each command does no harm
when it comes twice.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, cast

import msgspec

from ..core import commands, events
from . import messages as wire
from .errors import MalformedFrame, MediaError, PromptTooLong, WrongVersion

PROMPT_BYTES_MAX = wire.FRAME_BYTES_MAX - 1024
"""A prompt travels in one frame, with room for its name."""
PROMPTS_BYTES = 128 << 20
"""Prompts that we rely on the engine to have. It keeps twice that, so it drops none of these."""
KEYS_MAX = 12_000
"""Legs whose keys we keep: as many as an engine has. The oldest go first."""
REPORTS_MAX = 1024
"""Reports that nobody fetched; the oldest go first."""
UNSENT_BYTES_MAX = 64 << 20
"""An engine that leaves this much unread is stuck; the connection is closed."""
RETRY_S = 0.05
RETRY_S_MAX = 1.0

RecordingPath = Callable[[str, int], str]
"""Names the file of a recording's part."""
Report = wire.Stats | wire.CommandFailed | wire.LegClosed
"""What concerns operators, not the switch."""


class Position(NamedTuple):
    """How far we are in which engine's events."""

    engine: str
    seq: int


NOWHERE = Position("", 0)
"""No engine is known."""


class LegSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a leg is made with that the core has no part in."""

    srtp: wire.Encryption = "optional"
    codecs: Sequence[str] = wire.CODECS
    """Encoding names, in order of preference."""


DEFAULTS = LegSettings()


class EngineLink:
    """Speaks with one engine at a time.

    From the world: `connected`, `receive`, `disconnected`. From the server: `perform`, `load_prompt`, `ask_stats`,
    `acknowledge`. After each of them, drain `to_send()`, `events()` and `reports()`.

    `position` is what was last committed. `settings_of` is asked about a call whenever a leg is made for it.
    """

    def __init__(
        self,
        recording_path: RecordingPath,
        position: Position = NOWHERE,
        settings_of: Callable[[str], LegSettings] = lambda _: DEFAULTS,
    ) -> None:
        self._recording_path = recording_path
        self._settings_of = settings_of
        self._position = position
        self._frames = wire.Frames()
        self._welcome: wire.Welcome | None = None
        self._restarted = False
        self._ready = False
        self._prompts: OrderedDict[str, int] = OrderedDict()
        self._keys: dict[str, str] = {}
        """By leg, what the next engine needs to know of its handshakes. Secret: never on a disk or in a log."""
        self._out = bytearray()
        self._events: list[events.Event] = []
        self._reports: list[Report] = []
        self.duplicates = 0
        """Events that came again after they had been delivered."""
        self.dropped_commands = 0
        """Commands for an engine that was away."""

    @property
    def position(self) -> Position:
        """Up to where events were handed out; to be committed with what they brought about, then acknowledged."""
        return self._position

    @property
    def ready(self) -> bool:
        """`EngineReady` was given and the engine has not been lost since."""
        return self._ready

    # --- From the world

    def connected(self) -> None:
        """A new connection is up."""
        self._frames = wire.Frames()
        self._welcome = None
        self._out.clear()
        engine, acked = self._position
        self._send(wire.Hello(version=wire.PROTOCOL_VERSION, engine=engine, acked=acked))

    def disconnected(self) -> None:
        """The connection is gone."""
        self._welcome = None
        self._out.clear()
        if self._ready:
            self._ready = False
            self._events.append(events.EngineLost())

    def receive(self, data: bytes) -> None:
        """Bytes of the engine. Raises MediaError if they make no sense: close the connection and replace the engine."""
        for body in self._frames.receive(data):
            for message in wire.decode_up(body):
                if isinstance(message, wire.Welcome):
                    self._welcomed(message)
                else:
                    self._happened(message)
                self._be_ready_when_caught_up()

    # --- From the server

    def perform(self, wanted: Iterable[commands.Command]) -> None:
        """Has the engine do those of `wanted` that are its business, in order and in one frame, unless they are more
        than it can hold."""
        batch: list[wire.Message] = []
        for command in wanted:
            if (message := self._to_wire(command)) is not None:
                batch.append(message)
            if isinstance(command, commands.CloseLeg):
                self._keys.pop(command.call, None)
        if not batch:
            return
        if self._welcome is None:
            self.dropped_commands += len(batch)
            return
        for message in batch:
            if isinstance(message, wire.Play) and message.prompt in self._prompts:
                self._prompts.move_to_end(message.prompt)
        self._out += wire.frames(batch)

    def holds(self, prompt: str) -> bool:
        """Whether the engine surely has this prompt."""
        return prompt in self._prompts

    def load_prompt(self, prompt: str, pcm: bytes, rate: int) -> None:
        """Loads a prompt (mono, 16 bit little-endian) unless the engine has it. Raises PromptTooLong."""
        if len(pcm) > PROMPT_BYTES_MAX:
            most_s = PROMPT_BYTES_MAX // (rate * wire.SAMPLE_BYTES)
            raise PromptTooLong(f"a prompt of {len(pcm)} bytes; at most {most_s} s of sound can be played at once")
        if self._welcome is None:
            self.dropped_commands += 1
            return
        if prompt not in self._prompts:
            self._send(wire.LoadPrompt(prompt=prompt, rate=rate, pcm=pcm))
        self._prompts[prompt] = len(pcm)
        self._prompts.move_to_end(prompt)
        while sum(self._prompts.values()) > PROMPTS_BYTES:
            self._prompts.popitem(last=False)

    def ask_stats(self, request: str) -> None:
        """A `Stats` with the same `request` will be among the reports, unless the engine goes away."""
        if self._welcome is not None:
            self._send(wire.GetStats(request=request))

    def acknowledge(self, seq: int) -> None:
        """Everything up to `seq` is committed."""
        assert seq <= self._position.seq, "acknowledged what was never delivered"
        if self._welcome is not None:
            self._send(wire.Ack(seq=seq))

    # --- To be drained

    def to_send(self) -> bytes:
        data = bytes(self._out)
        self._out.clear()
        return data

    def events(self) -> list[events.Event]:
        drained, self._events = self._events, []
        return drained

    def reports(self) -> list[Report]:
        drained, self._reports = self._reports, []
        return drained

    # --- Inside

    def _send(self, *batch: wire.Message) -> None:
        self._out += wire.frame(batch)

    def _welcomed(self, welcome: wire.Welcome) -> None:
        if welcome.version != wire.PROTOCOL_VERSION:
            raise WrongVersion(
                f"the media engine speaks version {welcome.version} of the protocol, this server version "
                f"{wire.PROTOCOL_VERSION}; stop the engine, the server starts its own"
            )
        self._welcome = welcome
        self._restarted = welcome.engine != self._position.engine
        if self._restarted:
            self._position = Position(welcome.engine, welcome.last_seq)
            self._prompts.clear()
        # The engine doesn't know the keys of legs that it has not been told of yet: those we have stay.
        self._keys |= {leg.leg: leg.keys for leg in welcome.snapshot.legs if leg.keys is not None}
        held = set(welcome.snapshot.prompts)
        for prompt in [prompt for prompt in self._prompts if prompt not in held]:
            del self._prompts[prompt]

    def _happened(self, event: wire.Event) -> None:
        if self._welcome is None:
            raise MalformedFrame("the media engine sent an event before its welcome")
        if event.seq <= self._position.seq:
            self.duplicates += 1
            return
        self._position = Position(self._position.engine, event.seq)
        if isinstance(event, wire.PlayEnded) and event.reason == "unknown_prompt":
            self._prompts.clear()  # it dropped something that we relied on: rely on nothing
        if isinstance(event, wire.LegKeyed):
            self._keys[event.leg] = event.keys
            if len(self._keys) > KEYS_MAX:
                del self._keys[next(iter(self._keys))]
        if isinstance(event, Report):
            self._reports.append(event)
            del self._reports[:-REPORTS_MAX]
        for_core = _to_core(event)
        if for_core is not None:
            self._events.append(for_core)

    def _be_ready_when_caught_up(self) -> None:
        welcome = self._welcome
        if welcome is None or self._ready or self._position.seq < welcome.last_seq:
            return
        self._ready = True
        snapshot = welcome.snapshot
        self._events.append(
            events.EngineReady(
                restarted=self._restarted,
                legs=[
                    events.LegSnapshot(
                        call=leg.leg,
                        conference=leg.room,
                        direction=leg.direction,
                        negotiated=leg.negotiated,
                        plays=leg.plays,
                        muted=leg.muted,
                    )
                    for leg in snapshot.legs
                ],
                conferences=snapshot.rooms,
                recordings=[recording.recording for recording in snapshot.recordings],
            )
        )

    def _to_wire(self, command: commands.Command) -> wire.Message | None:
        """The engine's word for `command`, None if it is not the engine's business."""
        match command:
            case commands.OpenLeg():
                settings = self._settings_of(command.call)
                return wire.OpenLeg(
                    leg=command.call,
                    sdp=command.sdp,
                    like=command.like,
                    room_hint=command.conference,
                    transport="webrtc" if command.web else "rtp",
                    srtp=settings.srtp,
                    codecs=settings.codecs,
                    noise_suppression=command.noise_suppression,
                    normaliser=command.normaliser,
                    voice_activity=command.voice_activity,
                    limiter=command.limiter,
                    keys=self._keys.get(command.call) if command.like else None,
                )
            case commands.SetMuted():
                return wire.SetMuted(leg=command.call, muted=command.muted)
            case commands.SetProcessing():
                return wire.SetProcessing(
                    leg=command.call,
                    noise_suppression=command.noise_suppression,
                    normaliser=command.normaliser,
                    voice_activity=command.voice_activity,
                    limiter=command.limiter,
                )
            case commands.ApplySdp():
                return wire.ApplySdp(leg=command.call, kind=_kind(command.kind), sdp=command.sdp)
            case commands.OfferLeg():
                return wire.OfferLeg(leg=command.call)
            case commands.CloseLeg():
                return wire.CloseLeg(leg=command.call)
            case commands.OpenRoom():
                return wire.OpenRoom(room=command.conference)
            case commands.CloseRoom():
                return wire.CloseRoom(room=command.conference)
            case commands.JoinRoom():
                return wire.Join(leg=command.call, room=command.conference)
            case commands.LeaveRoom():
                return wire.Leave(leg=command.call)
            case commands.Play():
                tone = None if command.tone is None else wire.Tone(**msgspec.structs.asdict(command.tone))
                return wire.Play(
                    leg=command.call, play=command.play, prompt=command.prompt, tone=tone, loop=command.loop
                )
            case commands.StopPlay():
                return wire.StopPlay(leg=command.call, play=command.play)
            case commands.StartRecording():
                return wire.StartRecording(
                    recording=command.recording,
                    room=command.conference,
                    leg=command.call,
                    path=self._recording_path(command.recording, command.part),
                    rate=command.rate,
                    max_duration_ms=command.duration_ms,
                    end_of_silence_ms=command.end_of_silence_ms,
                )
            case commands.StopRecording():
                return wire.StopRecording(recording=command.recording)
            case _:
                return None


def _kind(kind: str) -> Literal["offer", "answer"]:
    assert kind in ("offer", "answer"), kind
    return kind


def _to_core(event: wire.Event) -> events.Event | None:
    """What the switch should know of `event`, None if nothing."""
    match event:
        case wire.LegAnswered():
            return events.LegAnswered(call=event.leg, sdp=event.sdp, direction=event.direction)
        case wire.LegOffered():
            return events.LegOffered(call=event.leg, sdp=event.sdp)
        case wire.LegApplied():
            return events.LegApplied(call=event.leg, direction=event.direction)
        case wire.LegRefused():
            return events.LegRefused(call=event.leg, reason=event.reason, detail=event.detail)
        case wire.LegClosed():
            return events.LegClosed(call=event.leg)
        case wire.LegJoined():
            return events.LegJoined(call=event.leg, conference=event.room)
        case wire.LegConnected():
            return events.LegConnected(call=event.leg)
        case wire.Digit():
            return events.DigitPressed(call=event.leg, digit=event.digit, duration_ms=event.duration_ms)
        case wire.Talking():
            return events.TalkingChanged(call=event.leg, talking=event.talking)
        case wire.Inactive():
            return events.LegInactive(call=event.leg, silent_ms=event.silent_ms)
        case wire.PlayEnded():
            return events.PlayEnded(call=event.leg, play=event.play, reason=event.reason)
        case wire.RecordingStarted():
            return events.RecordingStarted(recording=event.recording)
        case wire.RecordingEnded():
            return events.RecordingEnded(
                recording=event.recording, reason=event.reason, duration_ms=event.duration_ms, detail=event.detail
            )
        case wire.CommandFailed(command="start_recording"):
            return events.RecordingEnded(
                recording=event.subject, reason="disk_error", duration_ms=0, detail=event.reason
            )
        case wire.CommandFailed(command="join"):
            return events.JoinFailed(call=event.subject, reason=event.reason)
        case wire.DigitsSent() | wire.LegKeyed() | wire.Stats() | wire.CommandFailed():
            return None


class EngineConnection(asyncio.Protocol):
    """Moves the bytes of an `EngineLink` over the Unix socket at `path`, and comes back when it closes.

    `on_change` is called after everything that came: drain the link, commit, acknowledge, then `flush()`.
    `on_error` is told why a connection was given up.
    """

    def __init__(
        self,
        path: Path,
        link: EngineLink,
        on_change: Callable[[], None],
        on_error: Callable[[MediaError], None],
    ) -> None:
        self._path = path
        self._link = link
        self._on_change = on_change
        self._on_error = on_error
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()

    async def run(self) -> None:
        """Stays connected until it is cancelled; then closes the connection, which leaves the engine as it is."""
        loop = asyncio.get_running_loop()
        retry_s = RETRY_S
        try:
            while True:
                self._lost.clear()
                try:
                    await loop.create_unix_connection(lambda: self, str(self._path))
                except OSError:
                    await asyncio.sleep(retry_s)
                    retry_s = min(2 * retry_s, RETRY_S_MAX)
                    continue
                retry_s = RETRY_S
                await self._lost.wait()
                await asyncio.sleep(retry_s)
        finally:
            if self._transport is not None:
                self._transport.close()

    def flush(self) -> None:
        """Sends what the link has to send."""
        data = self._link.to_send()
        if self._transport is None or not data:
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self._on_error(MediaError(f"the media engine leaves {UNSENT_BYTES_MAX} bytes unread; connecting anew"))
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._link.connected()
        self.flush()

    def data_received(self, data: bytes) -> None:
        try:
            self._link.receive(data)
        except MediaError as error:
            self._on_error(error)
            if self._transport is not None:
                self._transport.abort()
        self._on_change()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._link.disconnected()
        self._lost.set()
        self._on_change()
