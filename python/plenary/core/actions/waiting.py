"""`sleep`, `digits_receive`: what waits for time or keys."""

from __future__ import annotations

from ..events import DigitPressed, Event
from ..limits import DIGITS_MAX, REFERENCE_MAX, WAIT_MAX_MS
from ..variables import DIGITS
from .base import DONE, WAIT, BadOption, Option, Outcome, Running, Seat, is_reference

KEYS = "0123456789*#ABCD"


class SleepOption(Option, frozen=True, kw_only=True):
    duration: int = 0
    """Milliseconds."""

    def check(self) -> None:
        if not 0 <= self.duration <= WAIT_MAX_MS:
            raise BadOption("duration", f"0 to {WAIT_MAX_MS} milliseconds.")


class Sleep(Running, tag="sleep", kw_only=True):
    """Waits."""

    option: SleepOption

    def start(self, seat: Seat) -> Outcome:
        if self.option.duration == 0:
            return DONE
        self.deadline = seat.now + self.option.duration / 1000
        return WAIT


class DigitsReceiveOption(Option, frozen=True, kw_only=True):
    duration: int = 0
    """Milliseconds, overall. 0 waits for none: only a key that was pressed just before is taken."""
    length: int = 0
    """Ends when so many digits are there; 0: does not matter."""
    key: str = ""
    """Each of these ends it. It stays in the result."""

    def check(self) -> None:
        if not 0 <= self.duration <= WAIT_MAX_MS:
            raise BadOption("duration", f"0 to {WAIT_MAX_MS} milliseconds.")
        if not 0 <= self.length <= DIGITS_MAX:
            raise BadOption("length", f"0 to {DIGITS_MAX} digits.")
        if not is_reference("key", self.key) and not set(self.key) <= set(KEYS):
            raise BadOption("key", f"Keys are {KEYS}.")
        if len(self.key) > REFERENCE_MAX:
            raise BadOption("key", f"At most {REFERENCE_MAX} characters.")


class DigitsReceive(Running, tag="digits_receive", kw_only=True):
    """Collects keys into `voipbin.call.digits`. A key pressed just before counts; an earlier collection does not.

    Answers the call first: before that a phone sends no keys.
    """

    option: DigitsReceiveOption

    def start(self, seat: Seat) -> Outcome:
        seat.answer()
        digits = seat.take_over_digits()
        self.deadline = seat.now + self.option.duration / 1000
        return self._judge(seat, digits, over=self.option.duration == 0)

    def handle(self, seat: Seat, event: Event) -> Outcome:
        if not isinstance(event, DigitPressed):
            return WAIT
        digits = seat.variables[DIGITS] = seat.variables.get(DIGITS, "") + event.digit
        return self._judge(seat, digits)

    def fire(self, seat: Seat) -> Outcome:
        return self._judge(seat, "", over=True)

    def _judge(self, seat: Seat, digits: str, *, over: bool = False) -> Outcome:
        length = self.option.length or DIGITS_MAX
        if over or len(digits) >= length or any(digit in self.option.key for digit in digits):
            seat.digits_taken()
            return DONE
        return WAIT
