"""From the bytes of a request to typed values, or to a `Problem` that names the field.

msgspec checks the body against its struct and says where it failed in its own notation (``$.pre_actions[0].type``); the
client gets a JSON pointer (RFC 6901: ``/pre_actions/0/type``).
"""

import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from ..core.ids import is_id
from ..core.wording import located, misfit, printable
from .bodies import KEYS_PATTERN, STAMP_PATTERN, UUID_PATTERN
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

CODES = {"missing": "missing_field", "unknown": "unknown_field", "value": "invalid_value"}


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
    wrong = misfit(message, struct)
    code, sentence = CODES[wrong.kind], wrong.sentence
    if UUID_PATTERN in message:
        code, sentence = "invalid_id", "Expected an id: a UUID in lower case."
    elif STAMP_PATTERN in message:
        sentence = "Expected a time as the API writes it."
    elif KEYS_PATTERN in message:
        sentence = "Expected 1 to 32 of the keys 0123456789*#ABCD."
    return Problem(code, located(wrong.where, sentence), pointer=wrong.pointer)


def utf8(raw: bytes) -> str:
    """A session description as text (RFC 8866 section 5: UTF-8)."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Problem("bad_sdp", "The body is not UTF-8.") from None


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


def uuid(text: str, name: str) -> str:
    """The id in the one form that the store knows: lower case."""
    if not is_id(text.lower()):
        sentence = f"'{printable(text)}' is no id: a UUID is expected."
        if name == "conference_id":
            sentence += " An alias leads phones and 'conference_join' to a conference, not requests."
        raise Problem("invalid_id", sentence, pointer=f"/{name}")
    return text.lower()
