"""`condition_variable`, `branch`, `goto`, `variable_set`: what decides, and waits for nothing."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from ..errors import Invalid
from ..ids import ZERO_ID, is_id
from ..limits import BRANCH_VALUE_MAX, BRANCHES_MAX, LOOP_MAX, VARIABLE_NAME_MAX, VARIABLE_VALUE_MAX
from ..variables import DIGITS, assign, is_name
from ..wording import escape
from .base import DONE, BadOption, Failed, Jump, Option, Outcome, Running, Seat, is_reference


def check_target(field: str, target: str, *, required: bool) -> None:
    if is_reference(field, target):
        return
    if not is_id(target):
        raise BadOption(field, "The id of an action is a UUID.")
    if required and target == ZERO_ID:
        raise BadOption(field, "Which action to go to? The zero id names none.")


class ConditionVariableOption(Option, frozen=True, kw_only=True):
    condition: Literal["==", "!=", ">", ">=", "<", "<="] = "=="
    """How to compare."""
    variable: str
    """What is compared: `${name}`, the name of a variable that there is, or any other text as it stands."""
    value_type: Literal["string", "number", "length"] = "string"
    """As what: text, number, or by the number of characters."""
    value_string: str = ""
    """What to compare with, for `string`."""
    value_number: float = 0.0
    """What to compare with, for `number`."""
    value_length: int = 0
    """What to compare with, for `length`."""
    false_target_id: str
    """Where to go if it does not hold."""

    def check(self) -> None:
        for field, text in (("variable", self.variable), ("value_string", self.value_string)):
            if len(text) > VARIABLE_VALUE_MAX:
                raise BadOption(field, f"At most {VARIABLE_VALUE_MAX} characters.")
        check_target("false_target_id", self.false_target_id, required=True)

    @classmethod
    def referring(cls, option: dict[str, Any], variables: dict[str, str]) -> dict[str, Any]:
        name = option["variable"]
        return {**option, "variable": f"${{{name}}}"} if name in variables else option

    def targets(self) -> list[tuple[str, str]]:
        return [("false_target_id", self.false_target_id)]


class ConditionVariable(Running, tag="condition_variable", kw_only=True):
    """Goes on if `variable` `condition` `value` holds, and elsewhere if not. What is no number is never true."""

    option: ConditionVariableOption

    def start(self, seat: Seat) -> Outcome:  # noqa: ARG002
        return DONE if self._holds() else Jump(self.option.false_target_id)

    def _holds(self) -> bool:
        option = self.option
        if option.value_type == "string":
            return _COMPARE[option.condition](option.variable, option.value_string)
        if option.value_type == "length":
            return _COMPARE[option.condition](len(option.variable), option.value_length)
        try:
            number = float(option.variable)
        except ValueError:
            return False
        return _COMPARE[option.condition](number, option.value_number)


_COMPARE: dict[str, Callable[[str | float, str | float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class BranchOption(Option, frozen=True, kw_only=True):
    variable: str = DIGITS
    """Name of a variable, without `${}`."""
    default_target_id: str = ZERO_ID
    """Where to go with any other value; the zero id: nowhere, the call ends."""
    target_ids: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """Value -> where to go."""

    def check(self) -> None:
        if len(self.variable) > VARIABLE_NAME_MAX:
            raise BadOption("variable", f"At most {VARIABLE_NAME_MAX} characters.")
        check_target("default_target_id", self.default_target_id, required=False)
        if len(self.target_ids) > BRANCHES_MAX:
            raise BadOption("target_ids", f"At most {BRANCHES_MAX} targets.")
        for value, target in self.target_ids.items():
            if len(value) > BRANCH_VALUE_MAX:
                raise BadOption("target_ids", f"A value has at most {BRANCH_VALUE_MAX} characters.")
            check_target(f"target_ids/{escape(value)}", target, required=True)
        if not self.target_ids and self.default_target_id == ZERO_ID:
            raise BadOption("target_ids", "It leads nowhere: give it a target, or a default_target_id.")

    def targets(self) -> list[tuple[str, str]]:
        named = [(f"target_ids/{escape(value)}", target) for value, target in self.target_ids.items()]
        return [*named, ("default_target_id", self.default_target_id)]


class Branch(Running, tag="branch", kw_only=True):
    """Goes where the variable's value says, and empties the variable."""

    option: BranchOption

    def start(self, seat: Seat) -> Outcome:
        name = self.option.variable or DIGITS
        value = seat.variables.get(name, "")
        if name in seat.variables:
            seat.variables[name] = ""
        return Jump(self.option.target_ids.get(value, self.option.default_target_id))


class GotoOption(Option, frozen=True, kw_only=True):
    target_id: str
    """Where to go."""
    loop_count: int = 0
    """How often it jumps before it lets the flow pass. Then it starts to count again."""

    def check(self) -> None:
        check_target("target_id", self.target_id, required=True)
        if not 0 <= self.loop_count <= LOOP_MAX:
            raise BadOption("loop_count", f"0 to {LOOP_MAX}.")

    def targets(self) -> list[tuple[str, str]]:
        return [("target_id", self.target_id)]


class Goto(Running, tag="goto", kw_only=True):
    """Jumps, `loop_count` times; then goes on."""

    option: GotoOption

    def start(self, seat: Seat) -> Outcome:
        return Jump(self.option.target_id) if seat.take_loop(self.option.loop_count) else DONE


class VariableSetOption(Option, frozen=True, kw_only=True):
    key: str
    """The name, 1 to 255 characters without braces."""
    value: str
    """The value, up to 32,768 characters."""

    def check(self) -> None:
        if not is_reference("key", self.key) and not is_name(self.key):
            raise BadOption("key", f"1 to {VARIABLE_NAME_MAX} characters, no braces.")
        if len(self.value) > VARIABLE_VALUE_MAX:
            raise BadOption("value", f"At most {VARIABLE_VALUE_MAX} characters.")


class VariableSet(Running, tag="variable_set", kw_only=True):
    """Sets a variable."""

    option: VariableSetOption

    def start(self, seat: Seat) -> Outcome:
        try:
            assign(seat.variables, self.option.key, self.option.value)
        except Invalid as refusal:
            return Failed(refusal.detail)
        return DONE
