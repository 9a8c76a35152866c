"""A media engine without sound, that speaks the same messages: for tests and simulations.

`FakeEngine` is sans-I/O and passes the contract tests of the native engine. It negotiates SDP by itself, lets plays and
recordings last as long as they would, and does what a test tells it to: `press`, `talk`, `fall_silent`, `crash`, and
`fail_at` for the n-th command. A peer's packets are never seen, so nothing else happens by itself.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from . import messages as wire
from .errors import MalformedFrame
from .fake_parts import Fault, Leg, Play, Recording
from .fake_sdp import MINE, UnusableSdp, a_phone, check_transport, read_sdp, write_sdp

UNACKED_MAX = 65_536
"""Events held for a server that is away; then talk and stats go first, and after them the oldest."""
PLAYS_MAX = 32
"""Plays that queue on one leg."""
WAV_HEADER_BYTES = 44
ID_CHARS_MAX = 64


class FakeEngine:
    """Legs, rooms, plays and recordings without sound.

    From the server: `connected`, `receive`, `disconnected`; then drain `to_send()`. Time: `timeout`, `fire`. From the
    test: the verbs below "What happens to peers", and `handle` to skip the bytes.
    """

    def __init__(self, name: str = "fake", first_port: int = 30_000, orphan_timeout_s: float = 30.0) -> None:
        self._life = 0
        self._name = name
        self._first_port = first_port
        self._orphan_timeout_s = orphan_timeout_s
        self.browsers_connect = True
        """Browsers find their way to us as soon as they are answered. False: when a test says `connect`."""
        self._fault: Fault | None = None
        self.running = True
        """False after a shutdown, or after too long without a server."""
        self._forget_all()

    @property
    def engine(self) -> str:
        """Id of this life; `crash` begins another."""
        return f"{self._name}-{self._life}"

    # --- From the server

    def connected(self) -> None:
        """A server connects, in place of the one that was there."""
        self._frames = wire.Frames()
        self._greeted = False
        self._orphan_at = None
        self._out.clear()

    def disconnected(self, now: float) -> None:
        self._greeted = False
        self._orphan_at = now + self._orphan_timeout_s
        self._out.clear()

    def receive(self, data: bytes, now: float) -> None:
        """Bytes of the server. Raises FrameTooLarge: then close the connection."""
        for body in self._frames.receive(data):
            try:
                raws = msgspec.msgpack.decode(body, type=list[msgspec.Raw])
            except (msgspec.MsgspecError, RecursionError) as error:
                self._emit(wire.CommandFailed, command="unknown", subject="", reason=f"malformed frame: {error}")
                continue
            batch: list[wire.Command] = []
            for raw in raws:
                try:
                    batch += wire.decode_down(b"\x91" + bytes(raw))
                except MalformedFrame as error:
                    self._emit(wire.CommandFailed, command="unknown", subject="", reason=str(error))
            self.handle(batch, now)

    def handle(self, batch: Iterable[wire.Command], now: float) -> None:
        """Applies one array of commands."""
        for command in batch:
            failing = self._fault_hits(command)
            if not self.running:
                return
            if failing:
                self._fail(command)
            else:
                self._apply(command, now)
        connecting, self._connecting = self._connecting, []
        for name in connecting:
            if name in self._legs:
                self.connect(name)

    def to_send(self) -> bytes:
        """One frame with everything that is to go up now, or nothing."""
        batch, self._out = self._out, []
        return wire.frame(batch) if batch else b""

    def timeout(self) -> float | None:
        """When `fire` has something to do."""
        times = [self._orphan_at]
        times += [leg.plays[0].ends for leg in self._legs.values() if leg.plays]
        times += [end for recording in self._recordings.values() for end, _ in self._ends_of(recording)]
        return min((at for at in times if at is not None), default=None) if self.running else None

    def fire(self, now: float) -> None:
        for leg in list(self._legs.values()):
            while leg.plays and (ends := leg.plays[0].ends) is not None and ends <= now:
                self._end_play(leg, leg.plays[0], "finished", ends)
        for recording in list(self._recordings.values()):
            due = [end for end in self._ends_of(recording) if end[0] <= now]
            if due:
                at, why = min(due)
                self._end_recording(recording, why, at)
        if self._orphan_at is not None and self._orphan_at <= now:
            self._shut_down(now)

    # --- What happens to peers, told by the test

    def press(self, leg: str, digits: str, duration_ms: int = 100) -> None:
        for digit in digits:
            self._emit(wire.Digit, leg=leg, digit=digit, duration_ms=duration_ms)

    def talk(self, leg: str, talking: bool, now: float) -> None:
        self._legs[leg].talking = talking
        for recording in self._recordings.values():
            if recording.started is not None and self._is_in(self._legs[leg], recording):
                recording.last_sound = now
        self._emit(wire.Talking, leg=leg, talking=talking)

    def shake_hands(self, leg: str, keys: str) -> None:
        """A phone's DTLS is through."""
        self._legs[leg].keys = keys
        self._emit(wire.LegKeyed, leg=leg, keys=keys)

    def connect(self, leg: str) -> None:
        """ICE and DTLS of a browser are through."""
        self._legs[leg].connected = True
        self._emit(wire.LegConnected, leg=leg)

    def fall_silent(self, leg: str, silent_ms: int = 30_000) -> None:
        self._emit(wire.Inactive, leg=leg, silent_ms=silent_ms)

    def crash(self) -> None:
        """Dies and is started again: nothing of before is left. The connection is gone as well."""
        self._life += 1
        self._forget_all()

    def fail_at(self, nth: int, command: type[wire.Message] | None = None) -> None:
        """The n-th command from now (of that type) has no effect but the event that says so. 1 is the next."""
        self._fault = Fault(nth, command)

    # --- What a test may look at

    def legs(self) -> set[str]:
        return set(self._legs)

    def members(self, room: str) -> set[str]:
        return {leg.name for leg in self._legs.values() if leg.room == room}

    def rooms(self) -> set[str]:
        return set(self._rooms)

    def playing(self, leg: str) -> list[str]:
        """What plays to the leg, and what waits behind it."""
        return [play.name for play in self._legs[leg].plays]

    def recordings(self) -> set[str]:
        return set(self._recordings)

    def muted(self, leg: str) -> bool:
        return self._legs[leg].muted

    def keys(self, leg: str) -> str | None:
        return self._legs[leg].keys

    def processing(self, leg: str) -> tuple[bool, bool, bool, bool]:
        """Noise suppression, normaliser, voice activity, limiter."""
        it = self._legs[leg]
        return it.noise_suppression, it.normaliser, it.voice_activity, it.limiter

    def gain(self, room: str, listener: str, speaker: str) -> float:
        row = self._gains.get(room, {})
        return 0.0 if listener == speaker else row.get((listener, speaker), row.get((listener, None), 1.0))

    # --- Inside

    def _forget_all(self) -> None:
        self._legs: dict[str, Leg] = {}
        self._rooms: set[str] = set()
        self._gains: dict[str, dict[tuple[str, str | None], float]] = {}
        self._recordings: dict[str, Recording] = {}
        self._prompts: dict[str, int] = {}
        """Milliseconds."""
        self._connecting: list[str] = []
        """Legs of browsers that have just been answered."""
        self._unacked: deque[wire.EngineEvent] = deque()
        self._last_seq = 0
        self._next_port = self._first_port
        self._greeted = False
        self._orphan_at: float | None = None
        self._frames = wire.Frames()
        self._out: list[wire.Message] = []

    def _emit(self, kind: Callable[..., wire.EngineEvent], **fields: object) -> None:
        self._last_seq += 1
        event = kind(seq=self._last_seq, **fields)
        if len(self._unacked) >= UNACKED_MAX:
            kept = [held for held in self._unacked if not isinstance(held, wire.Talking | wire.Stats)]
            self._unacked = deque(kept if len(kept) < UNACKED_MAX else kept[1:])
        self._unacked.append(event)
        if self._greeted:
            self._out.append(event)

    def _fault_hits(self, command: wire.Command) -> bool:
        fault = self._fault
        if fault is None or isinstance(command, wire.Hello | wire.Ack):
            return False
        if fault.command is not None and not isinstance(command, fault.command):
            return False
        fault.countdown -= 1
        if fault.countdown > 0:
            return False
        self._fault = None
        return True

    def _fail(self, command: wire.Command) -> None:
        match command:
            case wire.OpenLeg(leg=leg) | wire.ApplySdp(leg=leg) | wire.OfferLeg(leg=leg):
                self._emit(wire.LegRefused, leg=leg, reason="no_ports", detail="told to fail")
            case wire.Play(leg=leg, play=play):
                self._emit(wire.PlayEnded, leg=leg, play=play, reason="unknown_prompt")
            case wire.StartRecording(recording=recording):
                self._recording_ended(recording, "disk_error", 0, 0, "told to fail")
            case _:
                self._refuse(command, "told to fail")

    def _refuse(self, command: wire.Command, reason: str) -> None:
        for name in ("recording", "play", "prompt", "request", "leg", "room"):
            subject: object = getattr(command, name, None)
            if isinstance(subject, str):
                break
        else:
            subject = ""
        self._emit(wire.CommandFailed, command=command.__struct_config__.tag, subject=subject, reason=reason)

    def _apply(self, command: wire.Command, now: float) -> None:
        ids = [getattr(command, name, None) for name in ("leg", "room", "play", "recording", "prompt", "request")]
        if any(isinstance(name, str) and not 0 < len(name) <= ID_CHARS_MAX for name in ids):
            self._refuse(command, f"an id has 1 to {ID_CHARS_MAX} characters")
            return
        match command:
            case wire.Hello():
                self._welcome(command)
            case wire.Ack():
                self._acked(command.seq)
            case wire.Shutdown():
                self._shut_down(now)
            case wire.OpenLeg():
                self._open_leg(command)
            case wire.ApplySdp():
                self._apply_sdp(command)
            case wire.OfferLeg():
                leg = self._legs.get(command.leg)
                if leg is None:
                    self._emit(wire.LegRefused, leg=command.leg, reason="unknown_leg", detail="no such leg")
                else:
                    self._offer(leg)
            case wire.CloseLeg():
                self._close_leg(command, now)
            case wire.OpenRoom():
                self._rooms.add(command.room)
            case wire.CloseRoom():
                self._close_room(command, now)
            case wire.Join():
                self._join(command, now)
            case wire.Leave():
                self._leave(command)
            case wire.SetGain():
                self._set_gain(command)
            case wire.SetMuted():
                if leg := self._leg_of(command):
                    leg.muted = command.muted
            case wire.SetProcessing():
                if leg := self._leg_of(command):
                    self._process(leg, command)
                    if leg.talking and not leg.voice_activity:
                        self.talk(leg.name, talking=False, now=now)
            case wire.LoadPrompt():
                self._prompts[command.prompt] = len(command.pcm) * 1000 // (wire.SAMPLE_BYTES * command.rate)
            case wire.Play():
                self._play(command, now)
            case wire.StopPlay():
                self._stop_play(command, now)
            case wire.SendDigits():
                if command.leg in self._legs:
                    self._emit(wire.DigitsSent, leg=command.leg)
                else:
                    self._refuse(command, "no such leg")
            case wire.StartRecording():
                self._start_recording(command, now)
            case wire.StopRecording():
                if command.recording in self._recordings:
                    self._end_recording(self._recordings[command.recording], "stopped", now)
            case wire.GetStats():
                self._stats(command.request)

    def _welcome(self, hello: wire.Hello) -> None:
        if hello.engine == self.engine:
            self._acked(hello.acked)
        snapshot = wire.Snapshot(
            legs=[
                wire.LegSnapshot(
                    leg=leg.name,
                    room=leg.room,
                    direction=leg.direction,
                    negotiated=leg.negotiated,
                    plays=[play.name for play in leg.plays],
                    muted=leg.muted,
                    connected=leg.connected,
                    keys=leg.keys,
                )
                for leg in self._legs.values()
            ],
            rooms=sorted(self._rooms),
            recordings=[wire.RecordingSnapshot(recording=r.name, path=r.path) for r in self._recordings.values()],
            prompts=list(self._prompts),
        )
        last_seq = self._unacked[-1].seq if self._unacked else 0
        version = wire.PROTOCOL_VERSION
        self._out = [wire.Welcome(version=version, engine=self.engine, snapshot=snapshot, last_seq=last_seq)]
        self._out += self._unacked
        self._greeted = True

    def _acked(self, seq: int) -> None:
        while self._unacked and self._unacked[0].seq <= seq:
            self._unacked.popleft()

    def _shut_down(self, now: float) -> None:
        for recording in list(self._recordings.values()):
            self._end_recording(recording, "shutdown", now)
        self.running = False

    def _leg_of(self, command: wire.SetMuted | wire.SetProcessing) -> Leg | None:
        leg = self._legs.get(command.leg)
        if leg is None:
            self._refuse(command, "no such leg")
        return leg

    def _process(self, leg: Leg, command: wire.OpenLeg | wire.SetProcessing) -> None:
        leg.noise_suppression, leg.normaliser = command.noise_suppression, command.normaliser
        leg.voice_activity, leg.limiter = command.voice_activity, command.limiter

    def _open_leg(self, command: wire.OpenLeg) -> None:
        leg = self._legs.get(command.leg) or Leg(command.leg, self._next_port, keys=command.keys)
        leg.opened = command
        self._process(leg, command)
        if command.sdp is None:
            self._offer(leg)
        elif not self._answer(leg, command.sdp):
            return
        if command.leg not in self._legs:
            self._legs[command.leg] = leg
            self._next_port += 2

    def _offer(self, leg: Leg) -> None:
        leg.version += 1
        leg.offering = True
        assert leg.opened is not None
        sdp = write_sdp(a_phone(leg.opened.codecs), leg.port, leg.version)
        self._emit(wire.LegOffered, leg=leg.name, sdp=sdp)

    def _answer(self, leg: Leg, sdp: str) -> bool:
        assert leg.opened is not None
        try:
            offer = read_sdp(sdp, leg.opened.codecs)
            check_transport(offer, leg.opened.transport, leg.opened.srtp)
        except UnusableSdp as refused:
            self._emit(wire.LegRefused, leg=leg.name, reason=refused.reason, detail=refused.detail)
            return False
        leg.version += 1
        leg.direction = MINE[offer.direction]
        leg.negotiated, leg.offering = True, False
        answer = write_sdp(offer, leg.port, leg.version)
        self._emit(wire.LegAnswered, leg=leg.name, sdp=answer, direction=leg.direction)
        if offer.browser and self.browsers_connect:
            self._connecting.append(leg.name)
        return True

    def _apply_sdp(self, command: wire.ApplySdp) -> None:
        leg = self._legs.get(command.leg)
        if leg is None:
            self._emit(wire.LegRefused, leg=command.leg, reason="unknown_leg", detail="no such leg")
        elif command.kind == "offer":
            self._answer(leg, command.sdp)
        elif not leg.offering:
            self._emit(wire.LegRefused, leg=leg.name, reason="wrong_state", detail="no offer of ours waits")
        else:
            try:
                answer = read_sdp(command.sdp, wire.CODECS)
            except UnusableSdp as refused:
                self._emit(wire.LegRefused, leg=leg.name, reason=refused.reason, detail=refused.detail)
                return
            leg.direction = MINE[answer.direction]
            leg.negotiated, leg.offering = True, False
            self._emit(wire.LegApplied, leg=leg.name, direction=leg.direction)

    def _close_leg(self, command: wire.CloseLeg, now: float) -> None:
        leg = self._legs.pop(command.leg, None)
        if leg is None:
            return
        for recording in [r for r in self._recordings.values() if r.leg == leg.name]:
            self._end_recording(recording, "leg_closed", now)
        self._forget_gains(leg)
        for play in leg.plays:
            self._emit(wire.PlayEnded, leg=leg.name, play=play.name, reason="leg_closed")
        self._emit(wire.LegClosed, leg=leg.name, stats=wire.LegStats(leg=leg.name, room=leg.room))

    def _close_room(self, command: wire.CloseRoom, now: float) -> None:
        if command.room not in self._rooms:
            return
        self._rooms.discard(command.room)
        self._gains.pop(command.room, None)
        for leg in self._legs.values():
            leg.room = None if leg.room == command.room else leg.room
        for recording in [r for r in self._recordings.values() if r.room == command.room]:
            self._end_recording(recording, "room_closed", now)

    def _join(self, command: wire.Join, now: float) -> None:
        leg = self._legs.get(command.leg)
        if leg is None or command.room not in self._rooms:
            self._refuse(command, "no such leg" if leg is None else "no such room")
            return
        if leg.room != command.room:
            self._forget_gains(leg)
        leg.room = command.room
        self._emit(wire.LegJoined, leg=leg.name, room=command.room)
        self._start_those_waited_for(now)

    def _leave(self, command: wire.Leave) -> None:
        leg = self._legs.get(command.leg)
        if leg is not None:
            self._forget_gains(leg)
            leg.room = None

    def _forget_gains(self, leg: Leg) -> None:
        """Gains live as long as the membership."""
        row = self._gains.get(leg.room or "", {})
        for pair in [pair for pair in row if leg.name in pair]:
            del row[pair]

    def _set_gain(self, command: wire.SetGain) -> None:
        members = self.members(command.room)
        if command.listener not in members or not (command.speaker is None or command.speaker in members):
            self._refuse(command, "no such room, or not in it")
        elif not 0.0 <= command.gain <= 4.0:
            self._refuse(command, "a gain is 0 to 4")
        else:
            self._gains.setdefault(command.room, {})[command.listener, command.speaker] = command.gain

    def _play(self, command: wire.Play, now: float) -> None:
        leg = self._legs.get(command.leg)
        if leg is None:
            self._emit(wire.PlayEnded, leg=command.leg, play=command.play, reason="leg_closed")
        elif (command.prompt is None) == (command.tone is None):
            self._refuse(command, "exactly one of prompt and tone")
        elif command.prompt is not None and command.prompt not in self._prompts:
            self._emit(wire.PlayEnded, leg=leg.name, play=command.play, reason="unknown_prompt")
        elif any(play.name == command.play for play in leg.plays):
            return
        elif len(leg.plays) >= PLAYS_MAX:
            self._refuse(command, f"{PLAYS_MAX} plays wait already")
        else:
            ms = self._prompts[command.prompt] if command.prompt is not None else 0
            ms = command.tone.duration_ms if command.tone is not None else ms
            leg.plays.append(Play(command.play, ms, command.loop))
            if len(leg.plays) == 1:
                self._begin(leg, now)

    def _begin(self, leg: Leg, now: float) -> None:
        if leg.plays and not leg.plays[0].loop:
            leg.plays[0].ends = now + leg.plays[0].duration_ms / 1000

    def _stop_play(self, command: wire.StopPlay, now: float) -> None:
        leg = self._legs.get(command.leg)
        for play in list(leg.plays) if leg is not None else []:
            if leg is not None and play.name == command.play:
                self._end_play(leg, play, "stopped", now)

    def _end_play(self, leg: Leg, play: Play, reason: wire.PlayEnd, now: float) -> None:
        was_first = leg.plays[0] is play
        leg.plays.remove(play)
        self._emit(wire.PlayEnded, leg=leg.name, play=play.name, reason=reason)
        if was_first:
            self._begin(leg, now)

    def _start_recording(self, command: wire.StartRecording, now: float) -> None:
        if command.recording in self._recordings:
            return
        if (command.room is None) == (command.leg is None):
            self._refuse(command, "exactly one of room and leg")
        elif command.room is not None and command.room not in self._rooms:
            self._recording_ended(command.recording, "room_closed", 0, 0)
        elif command.leg is not None and command.leg not in self._legs:
            self._recording_ended(command.recording, "leg_closed", 0, 0)
        else:
            self._recordings[command.recording] = Recording(
                command.recording,
                command.path,
                command.room,
                command.leg,
                command.max_duration_ms,
                command.end_of_silence_ms,
                rate=command.rate,
            )
            self._start_those_waited_for(now)

    def _is_in(self, leg: Leg, recording: Recording) -> bool:
        return leg.name == recording.leg or (leg.room is not None and leg.room == recording.room)

    def _start_those_waited_for(self, now: float) -> None:
        for recording in self._recordings.values():
            if recording.started is None and any(self._is_in(leg, recording) for leg in self._legs.values()):
                recording.started = recording.last_sound = now
                self._emit(wire.RecordingStarted, recording=recording.name)

    def _ends_of(self, recording: Recording) -> list[tuple[float, Literal["duration", "silence"]]]:
        if recording.started is None:
            return []
        ends: list[tuple[float, Literal["duration", "silence"]]] = []
        if recording.max_duration_ms:
            ends.append((recording.started + recording.max_duration_ms / 1000, "duration"))
        talks = any(leg.talking and self._is_in(leg, recording) for leg in self._legs.values())
        if recording.end_of_silence_ms and not talks:
            ends.append((recording.last_sound + recording.end_of_silence_ms / 1000, "silence"))
        return ends

    def _end_recording(self, recording: Recording, reason: wire.RecordingEnd, now: float) -> None:
        del self._recordings[recording.name]
        ms = 0 if recording.started is None else round((now - recording.started) * 1000)
        size = WAV_HEADER_BYTES + ms * recording.rate * wire.SAMPLE_BYTES // 1000
        self._recording_ended(recording.name, reason, ms, size)

    def _recording_ended(self, recording: str, reason: wire.RecordingEnd, ms: int, size: int, detail: str = "") -> None:
        self._emit(wire.RecordingEnded, recording=recording, reason=reason, duration_ms=ms, bytes=size, detail=detail)

    def _stats(self, request: str) -> None:
        legs = [
            wire.LegStats(
                leg=leg.name,
                room=leg.room,
                talking=leg.talking,
                noise_suppression=leg.noise_suppression,
                normaliser=leg.normaliser,
                voice_activity=leg.voice_activity,
                limiter=leg.limiter,
            )
            for leg in self._legs.values()
        ]
        engine = wire.EngineStats(
            legs=len(self._legs), rooms=len(self._rooms), recordings=len(self._recordings), threads=1
        )
        self._emit(wire.Stats, request=request, legs=legs, engine=engine)
