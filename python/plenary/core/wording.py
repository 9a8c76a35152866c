"""What msgspec says of a value that does not fit its type, in words for people: the same for bodies and for options.

msgspec says what is wrong and where in one sentence of its own: ``Expected `int`, got `str` - at `$.option[0]` ``.
"""

import re
from typing import Literal, NamedTuple

import msgspec

_PATH = re.compile(r" - at `(\$.*)`$", re.DOTALL)
_PATH_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]|\[\.\.\.\]")
_MISSING = re.compile(r"^Object missing required field `(.*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_ENUM = re.compile(r"^Invalid enum value (.*)$", re.DOTALL)
_KIND = re.compile(r"`([a-z |]+)`")
_KINDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "object": "an object",
    "array": "an array",
}

QUOTED_MAX = 200
"""Characters of what a client sent that are quoted back to it."""


class Misfit(NamedTuple):
    """Why a value does not fit its struct."""

    kind: Literal["missing", "unknown", "value"]
    pointer: str
    """JSON pointer (RFC 6901) of the field at fault."""
    sentence: str
    """What is wrong with it."""
    where: str
    """JSON pointer of what `sentence` is about: the field, or the object that lacks it or has it too much."""


def misfit(message: str, struct: type[msgspec.Struct], noun: str = "field") -> Misfit:
    """Reads what msgspec says of a value that should have been this struct. `noun` is what its fields are called."""
    steps: list[str] = []
    if at := _PATH.search(message):
        message = message[: at.start()]
        steps = [name or index or "-" for name, index in _PATH_STEP.findall(at[1])]
    here = "".join(f"/{step}" for step in steps)
    if missing := _MISSING.match(message):
        return Misfit("missing", f"{here}/{escape(missing[1])}", f"The {noun} '{missing[1]}' is missing.", here)
    if unknown := _UNKNOWN.match(message):
        sentence = f"There is no {noun} '{printable(unknown[1])}'"
        names = [name for kind in kinds_at(struct, steps) for name in names_of(kind)]
        if names:
            sentence += f"; there {'is' if len(names) == 1 else 'are'} {', '.join(names)}"
        return Misfit("unknown", f"{here}/{escape(unknown[1])}", f"{sentence}.", here)
    if other := _ENUM.match(message):
        choices = ", ".join(f"'{choice}'" for kind in kinds_at(struct, steps) for choice in choices_of(kind))
        return Misfit("value", here, f"Expected one of {choices}, got {printable(other[1])}.", here)
    message = _KIND.sub(lambda match: " or ".join(_KINDS.get(kind, kind) for kind in match[1].split(" | ")), message)
    return Misfit("value", here, f"{printable(message)}.", here)


def located(pointer: str, sentence: str) -> str:
    """The sentence with the place that it is about in front: `pre_actions[0].option.text: there is nothing to say.`"""
    if not pointer:
        return sentence
    place = re.sub(r"/(\d+)(?=/|$)", r"[\1]", pointer).replace("/", ".").removeprefix(".")
    return f"{place}: {sentence[0].lower()}{sentence[1:]}"


def kinds_at(struct: type[msgspec.Struct], steps: list[str]) -> list[msgspec.inspect.Type]:
    """What the field at the end of the path can be."""
    kinds: list[msgspec.inspect.Type] = [msgspec.inspect.type_info(struct)]
    for step in steps:
        inner: list[msgspec.inspect.Type] = []
        for kind in kinds:
            if isinstance(kind, msgspec.inspect.StructType):
                inner += [field.type for field in kind.fields if field.encode_name == step]
            elif isinstance(kind, msgspec.inspect.ListType):
                inner.append(kind.item_type)
        kinds = [
            option
            for kind in inner
            for option in (kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,))
        ]
    return kinds


def choices_of(kind: msgspec.inspect.Type) -> list[str]:
    """The values that an enumerated field can have."""
    if isinstance(kind, msgspec.inspect.EnumType):
        return [str(member.value) for member in kind.cls]
    if isinstance(kind, msgspec.inspect.LiteralType):
        return [str(value) for value in kind.values]
    return []


def names_of(kind: msgspec.inspect.Type) -> list[str]:
    """The fields of an object."""
    return [field.encode_name for field in kind.fields] if isinstance(kind, msgspec.inspect.StructType) else []


def escape(name: str) -> str:
    """A name as a step of a JSON pointer (RFC 6901, section 3)."""
    return printable(name).replace("~", "~0").replace("/", "~1")


def printable(text: str) -> str:
    """What a client sent, short and without control characters, fit to be quoted back."""
    short = text if len(text) <= QUOTED_MAX else f"{text[:QUOTED_MAX]}…"
    return "".join(char if char.isprintable() else "\ufffd" for char in short)
