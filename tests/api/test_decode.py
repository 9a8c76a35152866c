"""The edge of the API holds against anything: no bytes make a request end in anything but an answer of ours."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plenary.api import decode
from plenary.api.bodies import CreateConferenceBody, UpdateConferenceBody
from plenary.api.problems import Problem
from plenary.core.wording import printable

CREATE = msgspec.json.Decoder(CreateConferenceBody)
UPDATE = msgspec.json.Decoder(UpdateConferenceBody)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(list(UpdateConferenceBody.__struct_fields__)) | st.text(max_size=8)


@settings(max_examples=300)
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_a_body_or_a_problem(raw: bytes):
    try:
        decode.decode(raw, "application/json", CREATE, required=True)
    except Problem as problem:
        msgspec.json.encode(problem.detail)


def decoded(body: dict[str, Any]) -> UpdateConferenceBody | Problem:
    try:
        return decode.decode(json.dumps(body).encode(), "application/json", UPDATE, required=True)
    except Problem as problem:
        return problem


@settings(max_examples=300)
@given(body=st.dictionaries(names, values, max_size=6))
def test_any_object_is_a_body_or_a_problem_whose_pointer_leads_into_it(body: dict[str, Any]):
    made = decoded(body)
    if isinstance(made, UpdateConferenceBody):
        assert msgspec.json.decode(msgspec.json.encode(made.data)) == made.data
    elif made.kind.code in ("invalid_value", "unknown_field") and made.pointer:
        first = made.pointer.split("/")[1].replace("~1", "/").replace("~0", "~")
        assert first in {printable(name) for name in body}


@given(value=values)
def test_depth_is_measured_as_a_parser_would(value: Any):
    def depth(inner: Any) -> int:
        if isinstance(inner, dict):
            return 1 + max((depth(item) for item in inner.values()), default=0)
        if isinstance(inner, list):
            return 1 + max((depth(item) for item in inner), default=0)
        return 0

    for _ in range(decode.DEPTH_MAX - 4):
        value = [value, "]]["]
    assert decode.nested_too_deeply(json.dumps(value).encode()) == (depth(value) > decode.DEPTH_MAX)


@pytest.mark.parametrize("tail", [b"", b"\\"], ids=["open", "open behind a backslash"])
def test_a_string_that_never_ends_is_scanned_once(tail: bytes):
    """A whole body of it: to look at the rest again behind each quote would take an hour."""
    assert not decode.nested_too_deeply(b"[]" * 33 + b'\\"' * (decode.BODY_MAX // 2) + tail)
    assert not decode.nested_too_deeply(b"[]" * 33 + b'"' + b'\\"' * (decode.BODY_MAX // 2) + tail)


@pytest.mark.parametrize("text", [r"\ud800", r"\udc00", r"\uD83D\u0041", r"\\\ud800 x"])
def test_half_a_character_is_called_that(text: str):
    """RFC 8259, section 8.2: a surrogate that stands alone is no character."""
    with pytest.raises(Problem, match="stands alone") as refused:
        decode.decode(b'{"type": "%b"}' % text.encode(), "application/json", CREATE, required=True)
    assert refused.value.kind.code == "invalid_json"


@pytest.mark.parametrize("text", [r"\ud83d\ude00", r"\\ud800", "\U0001f600"])
def test_what_looks_like_half_a_character_and_is_none_is_not_blamed(text: str):
    with pytest.raises(Problem, match="truncated"):
        decode.decode(b'{"name": "%b"' % text.encode(), "application/json", CREATE, required=True)


@given(raw=st.binary(max_size=100))
def test_any_query_is_read_or_refused(raw: bytes):
    with suppress(Problem):
        assert all(isinstance(value, str) for value in decode.parse_query(raw).values())


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1_0", " 1", "٣", "²", "1" * 21, "0x1", "1\n"])
def test_a_whole_number_has_digits_only(text: str):
    with pytest.raises(Problem, match="from 0 to 9"):
        decode.integer({"n": text}, "n", 5, 0, 9)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "The field 'type' is missing."),
        ([], "Expected an object, got an array."),
        ({"type": "connect", "name": 1}, "name: expected a string, got an integer."),
        ({"type": "connect", "timeout": "1"}, "timeout: expected an integer, got a string."),
        ({"type": "connect", "timeout": -1}, "timeout: expected an integer >= 0."),
        ({"type": "room"}, "type: expected one of 'conference', 'connect', got 'room'."),
        ({"type": "connect", "pre_actions": [{}]}, "pre_actions[0]: the field 'type' is missing."),
        (
            {"type": "connect", "pre_actions": [{"type": "beep", "options": {}}]},
            "pre_actions[0]: there is no field 'options'; there are id, next_id, type, option.",
        ),
        (
            {"type": "connect", "pre_actions": [{"type": "beep", "id": "A"}]},
            "pre_actions[0].id: expected an id: a UUID in lower case.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_style(body: Any, sentence: str):
    with pytest.raises(Problem) as refused:
        decode.decode(json.dumps(body).encode(), "application/json", CREATE, required=True)
    assert refused.value.detail == sentence


def test_who_asks_for_an_alias_is_told_where_aliases_work():
    with pytest.raises(Problem, match="alias"):
        decode.uuid("lobby", "conference_id")


def test_what_a_client_sent_is_quoted_short_and_printable():
    assert printable("a\x00\x1b[31m\u202eb") == "a\ufffd\ufffd[31m\ufffdb"
    assert len(printable("x" * 10_000)) == 201
