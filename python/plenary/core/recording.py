"""A recording of a conference or of a call.

    initiating ──▶ recording ──▶ stopping ──▶ ended
        └──────────────┴───────────▲───────────▲

It is `initiating` until the first sound is written, and may end before. It consists of parts: when the engine has to be
started again, the recording goes on in a new one. What ends it for good is a stop, one of its limits, the end of what
it records, or a disk that takes no more; an engine that goes away does not.
"""

from __future__ import annotations

import msgspec

from .commands import RemoveRecordingFiles, StartRecording, StopRecording
from .events import RecordingEnded
from .ids import NEVER, ZERO_ID
from .resources import Recording, RecordingStatus
from .world import World

TRANSITIONS: dict[RecordingStatus, frozenset[RecordingStatus]] = {
    RecordingStatus.INITIATING: frozenset({RecordingStatus.RECORDING, RecordingStatus.STOPPING, RecordingStatus.ENDED}),
    RecordingStatus.RECORDING: frozenset({RecordingStatus.STOPPING, RecordingStatus.ENDED}),
    RecordingStatus.STOPPING: frozenset({RecordingStatus.ENDED}),
    RecordingStatus.ENDED: frozenset(),
}

PART_OVER = frozenset({"shutdown", "engine_lost"})
"""Reasons of the engine for which only this part is over."""

END_REASONS = {"room_closed": "conference_ended", "leg_closed": "call_ended"}
"""The engine's reasons in the words of the resource, where they differ."""


class RecordingState(msgspec.Struct, kw_only=True):
    conference: str = ""
    """The conference whose log tells of it; empty: none."""
    rate: int = 8_000
    """Samples per second."""
    duration_ms: int = 0
    end_of_silence_ms: int = 0
    end_of_key: str = ""
    """`any`, a key, or empty: none. Only for calls."""
    stop_reason: str = ""
    stop_cause: str = ""
    running: bool = False
    """The engine was told to, and has not said that the part is over."""
    written_ms: int = 0
    """Length of the parts that are over."""


class RecordingMachine:
    def __init__(self, world: World, resource: Recording, state: RecordingState) -> None:
        self._world = world
        self.resource = resource
        self.state = state

    @classmethod
    def create(
        cls, world: World, *, customer: str, reference_type: str, reference: str, state: RecordingState, cause: str
    ) -> RecordingMachine:
        state.rate = world.settings.recording_rate
        resource = Recording(
            id=world.new_id(),
            customer_id=customer,
            reference_type=reference_type,
            reference_id=reference,
            status=RecordingStatus.INITIATING,
            tm_create=world.stamp,
        )
        machine = cls(world, resource, state)
        world.recordings[machine.id] = machine
        if state.conference in world.conferences:
            world.conferences[state.conference].attach(machine.id)
        world.touch(machine)
        world.log("recording_created", machine.resource, state.conference, cause)
        machine.begin()
        return machine

    @property
    def id(self) -> str:
        return self.resource.id

    @property
    def live(self) -> bool:
        return self.resource.status is not RecordingStatus.ENDED

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(self.state) if self.live else b""

    def deadline(self) -> float | None:
        return None

    def fire(self) -> None:
        raise AssertionError("has no timer")

    def begin(self) -> None:
        """Starts the first or the next part."""
        state = self.state
        rest = max(1, state.duration_ms - state.written_ms) if state.duration_ms else 0
        if not state.running:
            state.running = True
            self._change(parts=self.resource.parts + 1)
        self._world.do(
            StartRecording(
                recording=self.id,
                part=self.resource.parts,
                rate=state.rate,
                conference=self.resource.reference_id if self.resource.reference_type == "conference" else None,
                call=self.resource.reference_id if self.resource.reference_type == "call" else None,
                duration_ms=rest,
                end_of_silence_ms=state.end_of_silence_ms,
            )
        )

    def started(self) -> None:
        if self.resource.status is RecordingStatus.INITIATING:
            self._to(RecordingStatus.RECORDING, "the first sound was heard", "recording_started", tm_start=True)

    def stop(self, reason: str, cause: str) -> None:
        """Asks the engine to end it. Its owner forgets it at once."""
        if self.resource.status not in (RecordingStatus.INITIATING, RecordingStatus.RECORDING):
            return
        self.state.stop_reason, self.state.stop_cause = reason, cause
        self.resource = msgspec.structs.replace(
            self.resource, status=RecordingStatus.STOPPING, tm_update=self._world.stamp
        )
        self._world.touch(self)
        self._detach()
        if self.state.running:
            self._world.do(StopRecording(recording=self.id))
        else:
            self._end(reason, cause)

    def ended(self, event: RecordingEnded) -> None:
        if not self.live:
            return
        state = self.state
        if state.running:
            state.running = False
            state.written_ms += event.duration_ms
            self._change(duration_ms=state.written_ms)
        call = self._world.calls.get(self.resource.reference_id)
        leg_lost = event.reason == "leg_closed" and call is not None and call.live
        if (event.reason in PART_OVER or leg_lost) and not state.stop_reason:
            cause = "its media were interrupted: it goes on in another part"
            self._world.log("recording_updated", self.resource, state.conference, cause)
            return
        reason = state.stop_reason or END_REASONS.get(event.reason, event.reason)
        if event.reason == "disk_error":
            reason = "disk_error"
        self._end(reason, state.stop_cause or event.detail or f"ended by itself: {reason}")

    def reconcile(self, *, held: bool) -> None:
        """The engine is back; `held`: it has this recording at work."""
        stopping = self.resource.status is RecordingStatus.STOPPING
        if held:
            if stopping:
                self._world.do(StopRecording(recording=self.id))
        elif stopping:
            self._end(self.state.stop_reason, self.state.stop_cause)
        else:
            self.begin()

    def part_lost(self, *, written: bool, recorded_ms: int = 0) -> None:
        """The engine does not have it any more (`written`: what is on disk counts as a part), or never got it.

        `recorded_ms`: the length of all parts on disk, if that is known.
        """
        if self.state.running:
            self.state.running = False
            if recorded_ms > self.state.written_ms:
                self.state.written_ms = recorded_ms
                self._change(duration_ms=recorded_ms)
            if not written:
                self._change(parts=self.resource.parts - 1)
            self._world.touch(self)

    def delete(self, cause: str) -> None:
        """Ends it if it runs, and has its files removed."""
        if self.resource.tm_delete != NEVER:
            return
        self.stop("stopped", cause)
        if self.live:
            self._end("stopped", cause)
        self.resource = deleted(self._world, self.resource, self.state.conference, cause)
        self._world.touch(self)

    def _end(self, reason: str, cause: str) -> None:
        self._detach()
        self.resource = msgspec.structs.replace(self.resource, end_reason=reason)
        self._to(RecordingStatus.ENDED, cause, "recording_finished", tm_end=True)
        conference = self._world.conferences.get(self.state.conference)
        if conference is not None:
            self._world.later(lambda: conference.detach(self.id))

    def _detach(self) -> None:
        """Whoever shows it as the recording that runs now shows so no longer."""
        if self.resource.reference_type == "conference":
            conference = self._world.conferences.get(self.resource.reference_id)
            if conference is not None:
                conference.recording_over(self.id)
        else:
            call = self._world.calls.get(self.resource.reference_id)
            if call is not None:
                call.recording_over(self.id)

    def _to(
        self, status: RecordingStatus, cause: str, entry: str, *, tm_start: bool = False, tm_end: bool = False
    ) -> None:
        assert status in TRANSITIONS[self.resource.status], (self.resource.status, status)
        stamp = self._world.stamp
        self.resource = msgspec.structs.replace(
            self.resource,
            status=status,
            tm_update=stamp,
            tm_start=stamp if tm_start else self.resource.tm_start,
            tm_end=stamp if tm_end else self.resource.tm_end,
        )
        self._world.touch(self)
        self._world.log(entry, self.resource, self.state.conference, cause)

    def _change(self, *, parts: int | None = None, duration_ms: int | None = None) -> None:
        self.resource = msgspec.structs.replace(
            self.resource,
            parts=self.resource.parts if parts is None else parts,
            duration_ms=self.resource.duration_ms if duration_ms is None else duration_ms,
            tm_update=self._world.stamp,
        )
        self._world.touch(self)


def deleted(world: World, recording: Recording, conference: str, cause: str) -> Recording:
    """An ended recording, deleted: its files go, its log entry stays."""
    recording = msgspec.structs.replace(recording, tm_delete=world.stamp, tm_update=world.stamp)
    world.log("recording_deleted", recording, conference or ZERO_ID, cause)
    world.do(RemoveRecordingFiles(recording=recording.id))
    return recording
