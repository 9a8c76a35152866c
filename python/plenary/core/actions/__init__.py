"""What a call can be made to do: one struct of options and one that runs for each type, and their registry."""

from __future__ import annotations

from typing import Any

import msgspec

from ..errors import Invalid
from ..flow import ENTER_ROOM
from ..ids import ZERO_ID, is_id
from ..limits import ACTIONS_BYTES_MAX, ACTIONS_MAX
from ..resources import Action
from ..variables import has_reference, substitute
from ..wording import located, misfit, printable
from .base import BadOption, Option, Running
from .calling import (
    Answer,
    Hangup,
    HangupOption,
    RecordingStart,
    RecordingStartOption,
    RecordingStop,
    Stop,
)
from .joining import ConferenceJoin, ConferenceJoinOption, EnterRoom, EnterRoomOption
from .logic import (
    Branch,
    BranchOption,
    ConditionVariable,
    ConditionVariableOption,
    Goto,
    GotoOption,
    VariableSet,
    VariableSetOption,
)
from .prompts import Beep, NoOption, Play, PlayOption, Talk, TalkOption
from .waiting import DigitsReceive, DigitsReceiveOption, Sleep, SleepOption

AnyRunning = (
    Answer
    | Beep
    | Branch
    | ConditionVariable
    | ConferenceJoin
    | DigitsReceive
    | EnterRoom
    | Goto
    | Hangup
    | Play
    | RecordingStart
    | RecordingStop
    | Sleep
    | Stop
    | Talk
    | VariableSet
)

ACTIONS: dict[str, tuple[type[Option], type[Running]]] = {
    "answer": (NoOption, Answer),
    "beep": (NoOption, Beep),
    "branch": (BranchOption, Branch),
    "condition_variable": (ConditionVariableOption, ConditionVariable),
    "conference_join": (ConferenceJoinOption, ConferenceJoin),
    "digits_receive": (DigitsReceiveOption, DigitsReceive),
    "goto": (GotoOption, Goto),
    "hangup": (HangupOption, Hangup),
    "play": (PlayOption, Play),
    "recording_start": (RecordingStartOption, RecordingStart),
    "recording_stop": (NoOption, RecordingStop),
    "sleep": (SleepOption, Sleep),
    "stop": (NoOption, Stop),
    "talk": (TalkOption, Talk),
    "variable_set": (VariableSetOption, VariableSet),
}
"""What `type` can be in a request."""

_RUNNABLE = {**ACTIONS, ENTER_ROOM: (EnterRoomOption, EnterRoom)}

_encode = msgspec.json.Encoder().encode


def check_actions(actions: list[Action], path: str, *, beside: int = 0) -> int:
    """Raises `Invalid` with the JSON pointer of the first field at fault, such as `/pre_actions/0/option/text`.

    Returns the size of the list in bytes; `beside`: the size of another list that shares its limit.
    """
    if len(actions) > ACTIONS_MAX:
        raise Invalid("too_many_actions", f"A list has at most {ACTIONS_MAX} actions.", path)
    size = len(_encode(actions))
    if size + beside > ACTIONS_BYTES_MAX:
        raise Invalid("actions_too_long", f"All actions together have at most {ACTIONS_BYTES_MAX} bytes.", path)
    ids = {action.id for action in actions} - {ZERO_ID}
    for place, action in enumerate(actions):
        here = f"{path}/{place}"
        if action.type not in ACTIONS:
            known = ", ".join(ACTIONS)
            sentence = f"There is no action '{printable(action.type)}'; there are {known}."
            raise Invalid("unknown_action", located(here, sentence), f"{here}/type")
        for field, value in (("id", action.id), ("next_id", action.next_id)):
            if not is_id(value) or value != value.lower():
                sentence = "Expected an id: a UUID in lower case."
                raise Invalid("bad_id", located(f"{here}/{field}", sentence), f"{here}/{field}")
        targets = check_option(action.type, action.option, f"{here}/option").targets()
        for field, target in [("next_id", action.next_id), *((f"option/{field}", id_) for field, id_ in targets)]:
            if target != ZERO_ID and target.lower() not in ids and not has_reference(target):
                pointer = f"{here}/{field}"
                sentence = f"There is no action with the id {target} in this list."
                raise Invalid("unknown_target", located(pointer, sentence), pointer)
    return size


def check_option(type_: str, option: dict[str, Any], path: str) -> Option:
    """The typed option. Raises `Invalid`."""
    kind = _RUNNABLE[type_][0]
    try:
        typed = msgspec.convert(option, kind)
        typed.check()
    except msgspec.ValidationError as error:
        wrong = misfit(str(error), kind, "option")
        raise Invalid("bad_option", located(path + wrong.where, wrong.sentence), path + wrong.pointer) from None
    except BadOption as error:
        pointer = f"{path}/{error.field}"
        raise Invalid("bad_option", located(pointer, str(error)), pointer) from None
    return typed


def prepare_action(action: Action, variables: dict[str, str]) -> AnyRunning:
    """The action, ready to start, with the variables put in. Raises `Invalid` if that makes a bad option of it."""
    options, running = _RUNNABLE[action.type]
    filled = substitute(options.referring(action.option, variables), variables)
    make: Any = running
    return make(option=check_option(action.type, filled, "/option"))
