"""What an action is, and what it may do with its call.

An action that runs is a small struct: its options (variables already put in) and where it is. It is part of the call's
state, so it survives a restart as it stands. It is started once; after that it gets each event of its call, and the
time it has asked for, until it is done. Each of these steps says with an `Outcome` how the flow goes on.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from ..commands import Tone
from ..events import Event
from ..limits import REFERENCE_MAX
from ..variables import has_reference


class Wait(msgspec.Struct, frozen=True):
    """It goes on: ask again at the next event."""


class Done(msgspec.Struct, frozen=True):
    """On with the next action."""


class Jump(msgspec.Struct, frozen=True):
    """On with the action of this id."""

    target: str


class Failed(msgspec.Struct, frozen=True):
    """It could not be done: logged, and on with the next action, or, if `fatal`, the call is hung up."""

    reason: str
    fatal: bool = False


class End(msgspec.Struct, frozen=True):
    """The call is to be hung up, with this `hangup_reason`."""

    reason: str


Outcome = Wait | Done | Jump | Failed | End
WAIT = Wait()
DONE = Done()


class BadOption(Exception):
    """An option has a value that cannot be honoured."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        """JSON pointer within the option, without the leading slash."""


def is_reference(field: str, text: str) -> bool:
    """True for what depends on variables: only when it is used can it be looked at. Raises `BadOption` if too long."""
    if not has_reference(text):
        return False
    if len(text) > REFERENCE_MAX:
        raise BadOption(field, f"At most {REFERENCE_MAX} characters.")
    return True


class Option(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of one action type, as the API takes them."""

    def check(self) -> None:
        """Raises `BadOption` for what types alone do not catch. Strings may still hold `${name}`."""

    @classmethod
    def referring(cls, option: dict[str, Any], variables: dict[str, str]) -> dict[str, Any]:  # noqa: ARG003
        """The option before its variables are put in, with `${}` around names that may be given without."""
        return option

    def targets(self) -> list[tuple[str, str]]:
        """Where it may jump to: JSON pointer within the option, without the leading slash, and id of an action."""
        return []


class Seat(Protocol):
    """The call, as an action that runs on it sees it."""

    @property
    def now(self) -> float: ...
    @property
    def prompt_wait_s(self) -> float: ...
    @property
    def engine_ready(self) -> bool: ...
    @property
    def progressing(self) -> bool:
        """Answered."""
        ...

    @property
    def heard(self) -> bool:
        """The phone hears us: it is answered, or has early media."""
        ...

    @property
    def variables(self) -> dict[str, str]: ...
    def new_id(self) -> str: ...
    def note(self, reason: str) -> None:
        """Logs `action_failed` for a part of an action that goes on."""
        ...

    # Signalling
    def answer(self) -> None: ...
    def be_heard(self) -> None:
        """The phone shall hear us before it is answered (183), where that is possible; otherwise it is answered."""
        ...

    def ring(self) -> None:
        """180, unless it hears us already."""
        ...

    # Sound
    def prepare(self, request: str, *, text: str = "", gender: str = "", language: str = "", url: str = "") -> None: ...
    def drop(self, request: str) -> None: ...
    def play(self, play: str, *, prompt: str | None = None, tone: Tone | None = None) -> None: ...
    def stop_play(self, play: str) -> None: ...

    # Digits
    def take_over_digits(self) -> str:
        """What `digits_receive` starts with: the key that was pressed before it, if any."""
        ...

    def digits_taken(self) -> None: ...

    # Recording of the call
    def start_recording(self, *, duration_ms: int, end_of_silence_ms: int, end_of_key: str) -> None:
        """Raises `Refusal`."""
        ...

    def stop_recording(self) -> bool: ...

    # Conference
    def join(self, conference: str) -> Outcome: ...
    def enter_room(self) -> Outcome: ...
    def enter_again(self) -> None:
        """Makes the room if it is not there, and asks for the place in it anew."""
        ...

    def not_let_in(self, reason: str) -> Outcome:
        """The engine has not put the call into the room."""
        ...

    def take_loop(self, count: int) -> bool: ...


class Running(msgspec.Struct, kw_only=True):
    """An action at work. Each step may be repeated after a restart without harm."""

    deadline: float = 0.0
    """When `fire` wants to be called; 0: never."""

    def start(self, seat: Seat) -> Outcome:
        raise NotImplementedError

    def handle(self, seat: Seat, event: Event) -> Outcome:  # noqa: ARG002
        return WAIT

    def fire(self, seat: Seat) -> Outcome:  # noqa: ARG002
        return DONE

    def stop(self, seat: Seat) -> None:
        """It is taken away before it is done."""

    def resume(self, seat: Seat, *, restarted: bool) -> None:
        """The media engine is back; `restarted`: with nothing of ours in it."""

    def waits_for(self) -> str:
        """The prompt request that it waits for, or empty."""
        return ""
