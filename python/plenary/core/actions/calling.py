"""`answer`, `hangup`, `stop`, `recording_start`, `recording_stop`: what concerns the call itself."""

from __future__ import annotations

from typing import Literal

from ..errors import Refusal
from ..events import Event, PlayEnded
from ..limits import RECORDING_MAX_S
from .base import DONE, WAIT, BadOption, End, Failed, Option, Outcome, Running, Seat
from .prompts import BEEP, BEEP_WAIT_S, NoOption


class Answer(Running, tag="answer", kw_only=True):
    """Answers the call."""

    option: NoOption

    def start(self, seat: Seat) -> Outcome:
        seat.answer()
        return DONE


class HangupOption(Option, frozen=True, kw_only=True):
    reason: Literal["normal", "failed", "busy", "cancel", "timeout", "noanswer", "dialout", "amd"] = "normal"
    """What the call ends with as `hangup_reason`."""


class Hangup(Running, tag="hangup", kw_only=True):
    """Ends the call. Before it is answered, the reason decides with what status it is refused."""

    option: HangupOption

    def start(self, seat: Seat) -> Outcome:  # noqa: ARG002
        return End(self.option.reason)


class Stop(Running, tag="stop", kw_only=True):
    """Ends the flow, and with it the call."""

    option: NoOption

    def start(self, seat: Seat) -> Outcome:  # noqa: ARG002
        return End("normal")


class RecordingStartOption(Option, frozen=True, kw_only=True):
    format: Literal["wav"] = "wav"
    """16 bit PCM, mono."""
    end_of_silence: int = 0
    """Seconds; 0: does not matter."""
    end_of_key: Literal["", "none", "any", "*", "#"] = ""
    """A key of the phone that ends it; `none` is the same as the empty string."""
    duration: int = 0
    """Seconds; 0: no limit."""
    beep_start: bool = False
    """Whether a tone says that it begins."""

    def check(self) -> None:
        for field, seconds in (("end_of_silence", self.end_of_silence), ("duration", self.duration)):
            if not 0 <= seconds <= RECORDING_MAX_S:
                raise BadOption(field, f"0 to {RECORDING_MAX_S} seconds.")


class RecordingStart(Running, tag="recording_start", kw_only=True):
    """Records the call, both directions mixed, from now until it ends or is told to. The call must be answered."""

    option: RecordingStartOption
    play: str = ""

    def start(self, seat: Seat) -> Outcome:
        if not seat.progressing:
            return Failed("A call that is not answered cannot be recorded.")
        if not self.option.beep_start:
            return self._record(seat)
        self.play = seat.new_id()
        self.deadline = seat.now + BEEP_WAIT_S
        seat.play(self.play, tone=BEEP)
        return WAIT

    def handle(self, seat: Seat, event: Event) -> Outcome:
        return self._record(seat) if isinstance(event, PlayEnded) and event.play == self.play else WAIT

    def fire(self, seat: Seat) -> Outcome:
        seat.stop_play(self.play)
        return self._record(seat)

    def stop(self, seat: Seat) -> None:
        seat.stop_play(self.play)

    def _record(self, seat: Seat) -> Outcome:
        option = self.option
        try:
            seat.start_recording(
                duration_ms=option.duration * 1000,
                end_of_silence_ms=option.end_of_silence * 1000,
                end_of_key="" if option.end_of_key == "none" else option.end_of_key,
            )
        except Refusal as refusal:
            return Failed(refusal.detail)
        return DONE


class RecordingStop(Running, tag="recording_stop", kw_only=True):
    """Ends the recording of this call."""

    option: NoOption

    def start(self, seat: Seat) -> Outcome:
        return DONE if seat.stop_recording() else Failed("Nothing is being recorded.")
