"""SSML (W3C Speech Synthesis Markup Language 1.1), reduced to what is safe to hand to a speech program.

espeak-ng's own reader of markup opens files that `<audio src>` names, and converts some of them through a shell. So no
markup of a user reaches it: the document is parsed here, and written anew with the elements and attributes below and
nothing else. Other elements are left out and their text is kept, as SSML wants of a processor that does not know them.
"""

import re
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

from .errors import SpeechRefused

DEPTH_MAX = 32
"""Elements within each other: the speech program keeps a stack of 20 voices."""

_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

_ALLOWED: dict[str, frozenset[str]] = {
    "speak": frozenset({_XML_LANG}),
    "p": frozenset({_XML_LANG}),
    "s": frozenset({_XML_LANG}),
    "voice": frozenset({_XML_LANG, "gender", "age", "variant"}),
    "prosody": frozenset({"rate", "volume", "pitch", "range"}),
    "emphasis": frozenset({"level"}),
    "break": frozenset({"strength", "time"}),
    "say-as": frozenset({"interpret-as", "format", "detail"}),
    "sub": frozenset({"alias"}),
}
_VALUE = re.compile(r"[\w .,:%+\-]{1,200}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u2028\u2029]")


def is_ssml(text: str) -> bool:
    """Whether the text means to be a document: it begins with `<speak` or an XML declaration."""
    return re.match(r"\s*(<\?xml\b|<speak[\s>/])", text) is not None


def plain(text: str) -> str:
    """Text with nothing in it that a speech program takes for a command (control characters, `[[phonemes]]`)."""
    return _CONTROL.sub(" ", text).replace("[[", "[ [")


def reduced(document: str) -> str:
    """The same document with what is safe and nothing else. Raises `SpeechRefused` if it is no well-formed XML."""
    if "<!DOCTYPE" in document or "<!ENTITY" in document:
        raise SpeechRefused("The SSML has a DOCTYPE: leave it out.")
    try:
        root = ET.fromstring(document)
    except (ET.ParseError, ValueError) as error:
        raise SpeechRefused(f"The SSML is not well-formed: {error}.") from error
    if _name(root) != "speak":
        raise SpeechRefused("The SSML does not begin with <speak>.")
    return _written(root, 1)


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _written(element: ET.Element, depth: int) -> str:
    if depth > DEPTH_MAX:
        raise SpeechRefused(f"The SSML has more than {DEPTH_MAX} elements within each other.")
    parts = [escape(plain(element.text or ""))]
    for child in element:
        parts += [_written(child, depth + 1), escape(plain(child.tail or ""))]
    inside = "".join(parts)
    name = _name(element)
    allowed = _ALLOWED.get(name)
    if allowed is None:
        return inside
    attributes = "".join(
        f' {"xml:lang" if key == _XML_LANG else key}="{value}"'
        for key, value in element.attrib.items()
        if key in allowed and _VALUE.fullmatch(value)
    )
    return f"<{name}{attributes}>{inside}</{name}>"
