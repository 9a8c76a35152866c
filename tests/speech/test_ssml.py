"""SSML 1.1, reduced: nothing but what is listed comes out, whatever goes in."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plenary.speech.errors import SpeechRefused
from plenary.speech.ssml import is_ssml, plain, reduced


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("<speak>a</speak>", True),
        ("  \n<speak version='1.1'>a</speak>", True),
        ("<?xml version='1.0'?><speak>a</speak>", True),
        ("<speak/>", True),
        ("<speaker>a</speaker>", False),
        ("Say <speak>", False),
        ("a < b", False),
    ],
)
def test_a_document_is_told_from_a_text(text: str, markup: bool):
    assert is_ssml(text) is markup


@pytest.mark.parametrize(
    ("document", "written"),
    [
        ("<speak>a &lt; b &amp; c</speak>", "<speak>a &lt; b &amp; c</speak>"),
        (
            '<speak xml:lang="de">a<break time="1s"/>b</speak>',
            '<speak xml:lang="de">a<break time="1s"></break>b</speak>',
        ),
        ('<speak xmlns="http://www.w3.org/2001/10/synthesis"><p>a</p></speak>', "<speak><p>a</p></speak>"),
        ("<?xml version='1.0'?><speak>a</speak>", "<speak>a</speak>"),
        ('<speak><audio src="/etc/x.wav">a</audio> b</speak>', "<speak>a b</speak>"),
        ('<speak><x:audio xmlns:x="u" src="/etc/x.wav"/>b</speak>', "<speak>b</speak>"),
        ('<speak xml:base="/etc/">a</speak>', "<speak>a</speak>"),
        (
            '<speak><voice name="../x" gender="female">a</voice></speak>',
            '<speak><voice gender="female">a</voice></speak>',
        ),
        ('<speak><sub alias="&lt;audio/>">a</sub></speak>', "<speak><sub>a</sub></speak>"),
        ("<speak><![CDATA[<audio src='x'/>]]></speak>", "<speak>&lt;audio src='x'/&gt;</speak>"),
        ("<speak><!-- <audio/> --><?audio src='x'?>a</speak>", "<speak>a</speak>"),
        ("<speak>[[_^_EN]]</speak>", "<speak>[ [_^_EN]]</speak>"),
    ],
)
def test_what_is_safe_is_kept_and_the_rest_is_left_out(document: str, written: str):
    assert reduced(document) == written


@pytest.mark.parametrize(
    "document",
    [
        "<speak>",
        "<speak></speak><speak/>",
        "<?xml version='1.0'?><html/>",
        "<speak>&file;</speak>",
        '<!DOCTYPE speak [<!ENTITY a "aaaa">]><speak>&a;</speak>',
        "<speak>\x00</speak>",
        "<speak>\ud800</speak>",
        "<speak>" + "<p>" * 40 + "</p>" * 40 + "</speak>",
    ],
)
def test_what_is_no_document_is_refused(document: str):
    with pytest.raises(SpeechRefused):
        reduced(document)


names = st.sampled_from(["speak", "p", "audio", "voice", "break", "mark", "x", "sub", "prosody"])
attributes = st.sampled_from(["src", "name", "time", "alias", "gender", "xml:lang", "xml:base"])
contents = st.text(max_size=20)


@st.composite
def documents(draw: st.DrawFn) -> str:
    def element(depth: int) -> ET.Element:
        made = ET.Element(draw(names), draw(st.dictionaries(attributes, contents, max_size=2)))
        made.text, made.tail = draw(contents), draw(contents)
        if depth < 3:
            made.extend([element(depth + 1) for _ in range(draw(st.integers(0, 2)))])
        return made

    root = element(0)
    root.tag, root.tail = "speak", ""
    return ET.tostring(root, encoding="unicode")


@given(document=documents() | st.text(max_size=100).map(lambda text: f"<speak>{text}</speak>"))
def test_whatever_goes_in_only_listed_elements_come_out(document: str):
    try:
        written = reduced(document)
    except SpeechRefused:
        return
    tags = {element.tag for element in ET.fromstring(written).iter()}
    assert tags <= {"speak", "p", "s", "voice", "prosody", "emphasis", "break", "say-as", "sub"}
    assert "src" not in {name for element in ET.fromstring(written).iter() for name in element.attrib}
    assert reduced(written) == written


@given(text=st.text(max_size=200))
def test_plain_text_carries_no_commands(text: str):
    said = plain(text)
    assert "[[" not in said.replace("[ [", "")
    assert not any(ord(character) < 32 and character not in "\t\n" for character in said)
