"""From the bytes of a request to typed values, or to a `Problem` that names the field.

msgspec checks the body against its struct and says where it failed in its own notation (``$.pre_actions[0].type``); the
client gets a JSON pointer (RFC 6901: ``/pre_actions/0/type``).
"""

import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from .bodies import STAMP_PATTERN, UUID_PATTERN
from .problems import Problem

BODY_MAX = 1024 * 1024
"""Bytes. A conference with a hundred actions of spoken text has a tenth of that."""
BODY_DROPPED_MAX = 16 * 1024 * 1024
"""Bytes of a body that is too long that are read away, so that the client hears why it is refused. Beyond that it has
to do with a connection that is closed."""
DEPTH_MAX = 32
"""Arrays and objects in one another. No action nests deeper than 4; the rest is for the customer's own `data`."""
QUERY_PARAMETERS_MAX = 16
"""No operation has more than 6; the limit is for the parser's sake."""

B = TypeVar("B", bound=msgspec.Struct)

# A string that never ends is one match, too, and nothing is given back: otherwise each quote in it would begin a scan
# of all the rest.
_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_HALF_CHARACTER = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]|(?P<half>u[dD][89a-fA-F])|.)", re.DOTALL)
_PATH = re.compile(r" - at `(\$.*)`$", re.DOTALL)
_PATH_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]|\[\.\.\.\]")
_MISSING = re.compile(r"^Object missing required field `(.*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_WORDS = {"`": "'", "'str'": "a string", "'int'": "an integer", "'object'": "an object", "'array'": "an array"}


def decode(raw: bytes, content_type: str, decoder: msgspec.json.Decoder[B], *, required: bool) -> B:
    """The body as its struct. An empty one is `{}` unless it is `required`."""
    if not raw and not required:
        raw = b"{}"
    elif content_type.partition(";")[0].strip().lower() != "application/json":
        raise Problem(
            "unsupported_media_type",
            f"The body is declared as {printable(content_type)}: send 'Content-Type: application/json'."
            if content_type
            else "The body has no Content-Type: send 'Content-Type: application/json'.",
        )
    if not raw:
        raise Problem("invalid_json", "The body is empty: send a JSON object.", pointer="")
    if nested_too_deeply(raw):
        raise Problem("json_too_deep", f"The body nests arrays and objects more than {DEPTH_MAX} deep.", pointer="")
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise of_validation(str(error), decoder.type) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if isinstance(error, UnicodeDecodeError):
            reason = "it is not UTF-8"
        elif any(match["half"] for match in _HALF_CHARACTER.finditer(raw)):
            reason = "a \\uD800 to \\uDFFF stands alone, and only two of them, the right way round, are a character"
        else:
            reason = str(error)
        raise Problem("invalid_json", f"The body is no valid JSON: {reason}.", pointer="") from None


def nested_too_deeply(raw: bytes) -> bool:
    """Whether brackets outside strings nest beyond `DEPTH_MAX`. In time linear to the body, and most need no scan."""
    if raw.count(b"[") + raw.count(b"{") <= DEPTH_MAX:
        return False
    depth = 0
    for match in _BRACKETS.finditer(raw):
        token = match[0]
        if token in (b"[", b"{"):
            depth += 1
            if depth > DEPTH_MAX:
                return True
        elif token in (b"]", b"}"):
            depth -= 1
    return False


def of_validation(message: str, struct: type[msgspec.Struct]) -> Problem:
    """What msgspec says of a body that should have been this struct, as a problem of ours."""
    steps: list[str] = []
    if at := _PATH.search(message):
        message = message[: at.start()]
        steps = [name or index or "-" for name, index in _PATH_STEP.findall(at[1])]
    pointer = "".join(f"/{step}" for step in steps)
    if missing := _MISSING.match(message):
        return Problem(
            "missing_field", f"The field '{missing[1]}' is missing.", pointer=f"{pointer}/{escape(missing[1])}"
        )
    if unknown := _UNKNOWN.match(message):
        name = printable(unknown[1])
        where = f"In {pointer}, there" if pointer else "There"
        return Problem("unknown_field", f"{where} is no field '{name}'.", pointer=f"{pointer}/{escape(unknown[1])}")
    where = pointer or "The body"
    if UUID_PATTERN in message:
        return Problem("invalid_id", f"{where} is no id: a UUID in lower case is expected.", pointer=pointer)
    if STAMP_PATTERN in message:
        return Problem("invalid_value", f"{where}: a time is expected as the API writes it.", pointer=pointer)
    if message.startswith("Invalid enum value"):
        choices = ", ".join(f"'{choice}'" for choice in choices_at(struct, steps))
        message = f"{message}, expected one of {choices}"
    for word, plain in _WORDS.items():
        message = message.replace(word, plain)
    return Problem("invalid_value", f"{where}: {printable(message)}.", pointer=pointer)


def choices_at(struct: type[msgspec.Struct], steps: list[str]) -> list[str]:
    """The values that the enumerated field at the end of the path can have."""
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
    choices: list[str] = []
    for kind in kinds:
        if isinstance(kind, msgspec.inspect.EnumType):
            choices += [str(member.value) for member in kind.cls]
        elif isinstance(kind, msgspec.inspect.LiteralType):
            choices += [str(value) for value in kind.values]
    return choices


def escape(name: str) -> str:
    """A name as a step of a JSON pointer (RFC 6901, section 3)."""
    return printable(name).replace("~", "~0").replace("/", "~1")


def printable(text: str) -> str:
    """What a client sent, short and without control characters, fit to be quoted back."""
    short = text if len(text) <= 200 else f"{text[:200]}…"
    return "".join(char if char.isprintable() else "\ufffd" for char in short)


Query = Mapping[str, str]


def parse_query(raw: bytes) -> Query:
    """The parameters of the address. One that is there twice has no single meaning and is refused."""
    if not raw:
        return {}
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_PARAMETERS_MAX
        )
    except ValueError:
        raise Problem(
            "invalid_parameter",
            f"The query of the address is malformed: up to {QUERY_PARAMETERS_MAX} parameters, percent-encoded UTF-8.",
            pointer="",
        ) from None
    query: dict[str, str] = {}
    for name, value in pairs:
        if name in query:
            name = printable(name)
            raise Problem("invalid_parameter", f"The parameter '{name}' is there more than once.", pointer=f"/{name}")
        query[name] = value
    return query


def integer(query: Query, name: str, default: int, low: int, high: int) -> int:
    """The parameter as a whole number within its bounds."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and low <= int(text) <= high):
        raise Problem("invalid_parameter", f"'{name}' must be a whole number from {low} to {high}.", pointer=f"/{name}")
    return int(text)


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def uuid(text: str, name: str) -> str:
    """The id in the one form that the store knows: lower case."""
    text = text.lower()
    if not _UUID.fullmatch(text):
        raise Problem("invalid_id", f"'{printable(text)}' is no id: a UUID is expected.", pointer=f"/{name}")
    return text
