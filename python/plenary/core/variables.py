"""`${name}` in options: put in structurally, string by string, so that no value can change an option's shape."""

import re
from typing import Any

from .errors import Invalid
from .limits import (
    SUBSTITUTED_MAX,
    VARIABLE_NAME_MAX,
    VARIABLE_VALUE_MAX,
    VARIABLES_CHARACTERS_MAX,
    VARIABLES_MAX,
)

# Nothing in a name begins another reference, and its length is bounded: no text takes longer than its length to read.
_REFERENCE = re.compile(rf"\$\{{([^{{}}]{{1,{VARIABLE_NAME_MAX}}})\}}")

DIGITS = "voipbin.call.digits"


def has_reference(text: str) -> bool:
    """True if `text` depends on variables, so that it can be checked only when it is used."""
    return "${" in text


def is_name(text: str) -> bool:
    """True for what can be the name of a variable."""
    return 0 < len(text) <= VARIABLE_NAME_MAX and "{" not in text and "}" not in text


def substitute(value: Any, variables: dict[str, str]) -> Any:
    """`value` with each `${name}` in each of its strings (not in keys) replaced, once; unknown names by nothing.

    Raises `Invalid` if that gets out of hand (`SUBSTITUTED_MAX`).
    """
    room = SUBSTITUTED_MAX

    def walk(value: Any) -> Any:
        nonlocal room
        if isinstance(value, str):
            if "${" not in value:
                return value
            text = _REFERENCE.sub(lambda match: variables.get(match[1], ""), value)
            room -= len(text)
            if room < 0:
                raise Invalid("option_too_long", f"The option has more than {SUBSTITUTED_MAX} characters.")
            return text
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
        if isinstance(value, list):
            return [walk(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        return value

    return walk(value)


def assign(variables: dict[str, str], name: str, value: str) -> None:
    """Sets a variable. Raises `Invalid` at the limits, and changes nothing."""
    if not is_name(name):
        raise Invalid("bad_variable", f"A variable's name has 1 to {VARIABLE_NAME_MAX} characters, no braces.")
    if len(value) > VARIABLE_VALUE_MAX:
        raise Invalid("bad_variable", f"A variable's value has at most {VARIABLE_VALUE_MAX} characters.")
    if name not in variables and len(variables) >= VARIABLES_MAX:
        raise Invalid("too_many_variables", f"A call has at most {VARIABLES_MAX} variables.")
    others = sum(len(other) for key, other in variables.items() if key != name)
    if others + len(value) > VARIABLES_CHARACTERS_MAX:
        raise Invalid("too_many_variables", f"A call's variables hold at most {VARIABLES_CHARACTERS_MAX} characters.")
    variables[name] = value
