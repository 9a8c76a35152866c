"""`conference_join`, and the step into the room that it leads to."""

from __future__ import annotations

from ..commands import Tone
from ..events import Event, JoinFailed, PlayEnded
from ..ids import ZERO_ID, is_id
from ..routing import is_alias
from .base import WAIT, BadOption, Option, Outcome, Running, Seat, is_reference

JOIN_WAIT_S = 60.0
"""A participant who is not in the mix so long after he was let in has no media: longer than a phone may take to
confirm a call (RFC 3261: 32 s) and an engine to be started again."""

RINGBACK = Tone(frequency_hz=425.0, duration_ms=1_000)
"""What a caller hears while another phone rings, as in most of Europe (ITU-T E.180): a second of tone ..."""

RINGBACK_PAUSE_S = 4.0
"""... and four of silence."""


class ConferenceJoinOption(Option, frozen=True, kw_only=True):
    conference_id: str
    """An id or an alias."""

    def check(self) -> None:
        if is_reference("conference_id", self.conference_id):
            return
        if self.conference_id == ZERO_ID or not (is_id(self.conference_id) or is_alias(self.conference_id)):
            raise BadOption("conference_id", "Which conference? Its id, or one of its aliases.")


class ConferenceJoin(Running, tag="conference_join", kw_only=True):
    """Enters a conference: its `pre_actions`, the room, its `post_actions`; then goes on behind it."""

    option: ConferenceJoinOption

    def start(self, seat: Seat) -> Outcome:
        return seat.join(self.option.conference_id)


class EnterRoomOption(Option, frozen=True, kw_only=True):
    conference_id: str


class EnterRoom(Running, tag="enter_room", kw_only=True):
    """In the room, or at its door. Only the conference ends it: by taking the participant out."""

    option: EnterRoomOption
    ringing: bool = False
    """Waits for the other party, and hears ringing."""
    play: str = ""
    retried: bool = False
    """The engine has refused once already."""

    def start(self, seat: Seat) -> Outcome:
        return seat.enter_room()

    def let_in(self, seat: Seat) -> None:
        self.stop_ringing(seat)
        self.deadline = seat.now + JOIN_WAIT_S

    def is_in(self) -> None:
        self.deadline = 0.0
        self.retried = False

    def ring(self, seat: Seat) -> None:
        self.ringing = True
        if seat.heard:
            self._tone(seat)
        else:
            seat.ring()

    def stop_ringing(self, seat: Seat) -> None:
        self.ringing = False
        self.deadline = 0.0
        if self.play:
            seat.stop_play(self.play)
            self.play = ""

    def handle(self, seat: Seat, event: Event) -> Outcome:
        if isinstance(event, JoinFailed) and not self.ringing:
            # Once more, with the room made first: the refusal may also be of a room that the call was in before.
            if self.retried:
                return seat.not_let_in(event.reason)
            self.retried = True
            seat.enter_again()
        if self.play and isinstance(event, PlayEnded) and event.play == self.play:
            self.play = ""
            self.deadline = seat.now + RINGBACK_PAUSE_S
        return WAIT

    def fire(self, seat: Seat) -> Outcome:
        if self.ringing:
            self._tone(seat)
        elif not seat.engine_ready:
            self.deadline = seat.now + JOIN_WAIT_S
        else:
            return seat.not_let_in(f"it took more than {JOIN_WAIT_S:g} s")
        return WAIT

    def stop(self, seat: Seat) -> None:
        self.stop_ringing(seat)

    def resume(self, seat: Seat, *, restarted: bool) -> None:
        if restarted and self.ringing and self.play:
            seat.stop_play(self.play)
            self._tone(seat)

    def _tone(self, seat: Seat) -> None:
        self.deadline = 0.0
        self.play = seat.new_id()
        seat.play(self.play, tone=RINGBACK)
