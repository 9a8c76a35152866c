"""Which conference an address leads to."""

import re

from .errors import Invalid, WrongState
from .ids import ZERO_ID, is_id
from .limits import ALIAS_MAX, ALIASES_MAX, ENDED_REMEMBERED

# Unreserved and user-unreserved characters of RFC 3261 that a phone can dial; no blank, quote or escape.
_ALIAS = re.compile(r"[A-Za-z0-9._+*#~!=&$-]+")


def is_alias(text: str) -> bool:
    """True for what can be an alias, taken or not."""
    return 0 < len(text) <= ALIAS_MAX and _ALIAS.fullmatch(text) is not None and not is_id(text)


def check_aliases(aliases: list[str], path: str) -> None:
    """Raises `Invalid` that names the alias at fault."""
    if len(aliases) > ALIASES_MAX:
        raise Invalid("too_many_aliases", f"A conference has at most {ALIASES_MAX} aliases.", path)
    for place, alias in enumerate(aliases):
        here = f"{path}/{place}"
        if is_id(alias):
            raise Invalid("bad_alias", "An alias cannot have the form of an id.", here)
        if not is_alias(alias):
            raise Invalid(
                "bad_alias", f"An alias is 1 to {ALIAS_MAX} letters, digits or characters of ._+*#~!=&$-.", here
            )
        if alias in aliases[:place]:
            raise Invalid("bad_alias", "This alias is in the list twice.", here)


class Routes:
    """User part of an address -> conference."""

    def __init__(self) -> None:
        self._aliases: dict[str, str] = {}
        self._ended: dict[str, str] = {}
        """Ended conference -> customer, oldest first."""

    def find(self, user: str) -> str:
        """The conference that `user` (an id or an alias) leads to, whatever its state; the id itself if unknown."""
        return self._aliases.get(user) or (user.lower() if is_id(user) else ZERO_ID)

    def check_free(self, aliases: list[str], conference: str, path: str) -> None:
        """Raises `WrongState` (`alias_taken`) if another conference has one of these."""
        for place, alias in enumerate(aliases):
            if self._aliases.get(alias, conference) != conference:
                raise WrongState(
                    "alias_taken", f"Another conference on this server has the alias {alias}.", f"{path}/{place}"
                )

    def replace(self, conference: str, before: list[str], after: list[str]) -> None:
        for alias in before:
            del self._aliases[alias]
        self._aliases.update(dict.fromkeys(after, conference))

    def end(self, conference: str, customer: str, aliases: list[str]) -> None:
        """The conference is over: its aliases are free, its id is remembered for a while."""
        for alias in aliases:
            self._aliases.pop(alias, None)
        self._ended[conference] = customer
        if len(self._ended) > ENDED_REMEMBERED:
            del self._ended[next(iter(self._ended))]

    def customer_of_ended(self, conference: str) -> str | None:
        return self._ended.get(conference)
