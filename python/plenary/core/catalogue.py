"""The types of actions as users know them: what each does and takes. The documentation is made of it."""

from typing import NamedTuple

import msgspec

from .actions import ACTIONS


class ActionType(NamedTuple):
    """One type of action."""

    name: str
    does: str
    """What it does, in words."""
    options: type[msgspec.Struct]
    """What it takes as `option`; the string under each field says what it is for."""


def action_types() -> list[ActionType]:
    """Every type that a request can have, in the order of their names."""
    return [ActionType(name, running.__doc__ or "", options) for name, (options, running) in ACTIONS.items()]
