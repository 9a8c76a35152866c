"""What is refused in a body, with which code and pointer, and what a PUT may send back."""

import json
from typing import Any

import pytest

from plenary.core import events

from .fake import ANN, Client, FakeServer

CREATE = "/v1.0/conferences"
CALLS = "/v1.0/calls"
TALK = {"type": "talk", "option": {"text": "hi"}}
A, B = {"target": "a@b.example"}, {"target": "c@d.example"}


def conference(**fields: Any) -> dict[str, Any]:
    return {"type": "conference", **fields}


def nested(depth: int) -> Any:
    """Arrays so deep in one another that the whole body has this depth."""
    value: Any = []
    for _ in range(depth - 3):
        value = [value]
    return conference(data={"deep": value})


REFUSED: list[tuple[str, str, Any, str, str]] = [
    # path, method, body, code, pointer
    (CREATE, "POST", {}, "missing_field", "/type"),
    (CREATE, "POST", [], "invalid_value", ""),
    (CREATE, "POST", "conference", "invalid_value", ""),
    (CREATE, "POST", {"type": "room"}, "invalid_value", "/type"),
    (CREATE, "POST", {"type": None}, "invalid_value", "/type"),
    (CREATE, "POST", conference(nam="x"), "unknown_field", "/nam"),
    (CREATE, "POST", conference(id="99accfb7-c0dd-4a54-997d-dd18af7bc280"), "unknown_field", "/id"),
    (CREATE, "POST", conference(customer_id="22222222-2222-4222-8222-222222222222"), "unknown_field", "/customer_id"),
    (CREATE, "POST", conference(**{"a/b~c": 1}), "unknown_field", "/a~1b~0c"),
    (CREATE, "POST", conference(**{"`\n": 1}), "unknown_field", "/`\ufffd"),
    (CREATE, "POST", conference(name=1), "invalid_value", "/name"),
    (CREATE, "POST", conference(timeout=-1), "invalid_value", "/timeout"),
    (CREATE, "POST", conference(timeout=10 * 365 * 86_400 + 1), "invalid_value", "/timeout"),
    (CREATE, "POST", conference(timeout=10**30), "invalid_value", "/timeout"),
    (CREATE, "POST", conference(timeout=1.5), "invalid_value", "/timeout"),
    (CREATE, "POST", conference(timeout="60"), "invalid_value", "/timeout"),
    (CREATE, "POST", conference(timeout=True), "invalid_value", "/timeout"),
    (CREATE, "POST", conference(data=[]), "invalid_value", "/data"),
    (CREATE, "POST", conference(data=None), "invalid_value", "/data"),
    (CREATE, "POST", conference(pre_actions={}), "invalid_value", "/pre_actions"),
    (CREATE, "POST", conference(pre_actions=[TALK, {}]), "missing_field", "/pre_actions/1/type"),
    (CREATE, "POST", conference(pre_actions=[{"type": 3}]), "invalid_value", "/pre_actions/0/type"),
    (CREATE, "POST", conference(post_actions=[{**TALK, "options": {}}]), "unknown_field", "/post_actions/0/options"),
    (CREATE, "POST", conference(post_actions=[{**TALK, "option": []}]), "invalid_value", "/post_actions/0/option"),
    (CREATE, "POST", conference(post_actions=[{**TALK, "id": "x"}]), "invalid_id", "/post_actions/0/id"),
    (CREATE, "POST", conference(settings={"pin": "1"}), "unknown_field", "/settings/pin"),
    (CREATE, "POST", conference(settings={"aliases": [1]}), "invalid_value", "/settings/aliases/0"),
    (CREATE, "POST", nested(33), "json_too_deep", ""),
    (CALLS, "POST", {"destinations": [B]}, "missing_field", "/source"),
    (CALLS, "POST", {"source": A}, "missing_field", "/destinations"),
    (CALLS, "POST", {"source": A, "destinations": []}, "invalid_value", "/destinations"),
    (CALLS, "POST", {"source": A, "destinations": [{}]}, "missing_field", "/destinations/0/target"),
    (CALLS, "POST", {"source": A, "destinations": [{**B, "type": "pigeon"}]}, "invalid_value", "/destinations/0/type"),
    (CALLS, "POST", {"source": A, "destinations": [B], "flow_id": "x"}, "unknown_field", "/flow_id"),
]


@pytest.mark.parametrize(("path", "method", "body", "code", "pointer"), REFUSED, ids=lambda value: str(value)[:60])
def test_a_body_that_cannot_be_honoured_is_refused_with_the_field(
    client: Client, server: FakeServer, path: str, method: str, body: Any, code: str, pointer: str
):
    answer = client.send(method, path, json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, code)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert server.asked == [], "nothing reached the core"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"type": "conference"} {}',
        b"nonsense",
        b'{"type": "conference", "name": "\xff"}',
        b'{"type": "conference", "name": "\\ud800"}',
        b'{"type": "conference", "data": {"x": NaN}}',
        b"\xef\xbb\xbf{}",
        b"\x00",
    ],
)
def test_what_is_no_json_is_refused(client: Client, raw: bytes):
    answer = client.post(CREATE, content=raw, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("bracket", [b"[", b'{"a":', b'{"data":{"a":['])
def test_a_megabyte_of_opening_brackets_is_refused(client: Client, bracket: bytes):
    raw = bracket * (1_000_000 // len(bracket))
    answer = client.post(CREATE, content=raw, headers={"content-type": "application/json"})
    assert answer.json()["code"] == "json_too_deep"


def test_brackets_in_text_do_not_count_as_depth(client: Client):
    made = client.a_conference(name='[{"' * 100, data={"a": [[]] * 100})
    assert made["name"] == '[{"' * 100


def test_thirty_two_levels_are_not_too_deep(client: Client):
    assert client.post(CREATE, nested(32)).status_code == 200


@pytest.mark.parametrize("declared", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_may_be_declared_with_a_charset(client: Client, declared: str):
    body = json.dumps(conference(name="Grüße 🎧")).encode()
    assert client.post(CREATE, content=body, headers={"content-type": declared}).status_code == 200


@pytest.mark.parametrize("declared", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_another_content_type_is_refused(client: Client, declared: str):
    headers = {"content-type": declared} if declared else {}
    answer = client.post(CREATE, content=b'{"type":"conference"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_data_comes_back_as_it_was_given(client: Client):
    data = {"": None, "a": [1, -0.5, 1e300, 2**70, True, {"b": "é\u0000\u2028"}]}
    made = client.a_conference(data=data)
    assert made["data"] == data
    assert client.get(f"{CREATE}/{made['id']}").json()["data"] == data


def test_the_core_gets_what_the_body_says(client: Client, server: FakeServer):
    client.a_conference(name="n", timeout=10 * 365 * 86_400, settings={"aliases": ["600"]}, pre_actions=[TALK])
    asked = server.asked[-1]
    assert isinstance(asked, events.CreateConference)
    assert (asked.name, asked.timeout, asked.settings.aliases) == ("n", 10 * 365 * 86_400, ["600"])
    assert asked.pre_actions[0].option == {"text": "hi"}


# --- PUT -----------------------------------------------------------------------------------------------------------


def test_a_conference_can_be_sent_back_as_it_was_read(client: Client):
    made = client.a_conference(name="old", pre_actions=[TALK], settings={"aliases": ["600"]})
    answer = client.put(f"{CREATE}/{made['id']}", {**made, "name": "new"})
    assert answer.status_code == 200
    changed = answer.json()
    assert changed["tm_update"] > made["tm_create"]
    assert {**changed, "tm_update": ""} == {**made, "name": "new", "tm_update": ""}


def test_what_a_put_leaves_out_is_reset(client: Client):
    made = client.a_conference(name="old", detail="d", timeout=60, pre_actions=[TALK], data={"a": 1})
    changed = client.put(f"{CREATE}/{made['id']}", {"timeout": 5}).json()
    assert (changed["name"], changed["detail"], changed["data"], changed["pre_actions"]) == ("", "", {}, [])
    assert changed["timeout"] == 5


SWITCHES = {"noise_suppression": False, "normaliser": False, "voice_activity": True, "limiter": True}


@pytest.mark.parametrize("sent", [{}, *({field: not default} for field, default in SWITCHES.items())], ids=str)
def test_a_switch_that_a_put_leaves_out_goes_back_to_its_default(
    client: Client, server: FakeServer, sent: dict[str, bool]
):
    member = server.a_participant(ANN, client.a_conference()["id"])
    answer = client.put(f"/v1.0/conferencecalls/{member.id}/processing", sent)
    assert answer.status_code == 200
    assert SWITCHES.keys() <= answer.json().keys()
    asked = server.asked[-1]
    assert isinstance(asked, events.ProcessConferencecall)
    assert {field: getattr(asked, field) for field in SWITCHES} == SWITCHES | sent


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"limiter": 1}, "invalid_value", "/limiter"),
        ({"voice_activity": None}, "invalid_value", "/voice_activity"),
        ({"voice_activity": "off"}, "invalid_value", "/voice_activity"),
        ({"echo": False}, "unknown_field", "/echo"),
    ],
)
def test_a_switch_is_on_or_off(client: Client, server: FakeServer, body: dict[str, Any], code: str, pointer: str):
    member = server.a_participant(ANN, client.a_conference()["id"])
    before = len(server.asked)
    answer = client.put(f"/v1.0/conferencecalls/{member.id}/processing", body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert len(server.asked) == before, "nothing reached the core"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "99accfb7-c0dd-4a54-997d-dd18af7bc280"),
        ("customer_id", "22222222-2222-4222-8222-222222222222"),
        ("type", "connect"),
    ],
)
def test_what_never_changes_cannot_be_put(client: Client, server: FakeServer, field: str, value: str):
    made = client.a_conference()
    answer = client.put(f"{CREATE}/{made['id']}", {field: value})
    assert (answer.status_code, answer.json()["code"]) == (400, "read_only_field")
    assert answer.json()["errors"][0]["pointer"] == f"/{field}"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "x"),
        ("status", "happy"),
        ("conferencecall_ids", ["x"]),
        ("recording_id", None),
        ("recording_ids", "none"),
        ("tm_create", "yesterday"),
        ("tm_delete", "9999-01-01 00:00:00.000000\n"),
        ("transcribe_ids", {}),
        ("tm_end", 0),
    ],
)
def test_a_read_only_field_must_be_well_formed(client: Client, field: str, value: Any):
    made = client.a_conference()
    answer = client.put(f"{CREATE}/{made['id']}", {field: value})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"].startswith(f"/{field}")


def test_read_only_fields_that_have_changed_meanwhile_are_ignored(client: Client):
    made = client.a_conference()
    stale = {"status": "progressing", "conferencecall_ids": [made["id"]], "tm_update": made["tm_create"]}
    assert client.put(f"{CREATE}/{made['id']}", stale).json()["status"] == "starting"


# --- Bodies that need not be there -----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"{}"])
@pytest.mark.parametrize("verb", ["recording_start", "recording_stop"])
def test_a_body_of_defaults_may_be_left_out(client: Client, verb: str, content: bytes):
    made = client.a_conference()
    headers = {"content-type": "application/json"} if content else {}
    answer = client.post(f"{CREATE}/{made['id']}/{verb}", content=content, headers=headers)
    assert (answer.status_code, answer.json()["id"]) == (200, made["id"])


def test_a_recording_is_started_as_asked(client: Client, server: FakeServer):
    made = client.a_conference()
    client.post(f"{CREATE}/{made['id']}/recording_start", {"format": "wav", "duration": 60, "end_of_silence": 5})
    asked = server.asked[-1]
    assert isinstance(asked, events.StartConferenceRecording)
    assert (asked.format, asked.duration, asked.end_of_silence) == ("wav", 60, 5)


@pytest.mark.parametrize(
    ("verb", "body", "pointer"),
    [
        ("recording_start", {"format": "mp3"}, "/format"),
        ("recording_start", {"duration": -1}, "/duration"),
        ("recording_start", {"on_end_flow_id": "x"}, "/on_end_flow_id"),
        ("recording_stop", {"now": True}, "/now"),
    ],
)
def test_what_a_recording_cannot_do_is_refused(client: Client, verb: str, body: Any, pointer: str):
    made = client.a_conference()
    answer = client.post(f"{CREATE}/{made['id']}/{verb}", body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


def test_calls_are_answered_with_one_call_for_each_destination(client: Client):
    answer = client.post(CALLS, {"source": A, "destinations": [B, {"type": "tel", "target": "+441632960001"}]}).json()
    assert list(answer) == ["calls", "groupcalls"]
    assert [call["destination"]["target"] for call in answer["calls"]] == ["c@d.example", "+441632960001"]
    assert answer["groupcalls"] == []


@pytest.mark.parametrize(("method", "suffix"), [("DELETE", ""), ("POST", "/hangup")])
def test_a_call_is_hung_up_either_way(client: Client, server: FakeServer, method: str, suffix: str):
    call = client.post(CALLS, {"source": A, "destinations": [B]}).json()["calls"][0]
    assert client.send(method, f"{CALLS}/{call['id']}{suffix}").json() == call
    assert isinstance(server.asked[-1], events.HangUpCall)
