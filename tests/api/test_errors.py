"""Every error is a problem document (RFC 9457), and every code of the catalogue has been provoked."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import plenary
from plenary.api import examples, joining, waiting
from plenary.api.problems import CATALOGUE
from plenary.core.errors import Invalid, LimitReached, NotFound, Refusal, Unavailable, Unprocessable, WrongState
from plenary.store.errors import DatabaseBusy

from .fake import ANN, Client, FakeServer, refused

CONFERENCES = "/v1.0/conferences"
UNKNOWN = "99999999-9999-4999-8999-999999999999"
JSON = {"content-type": "application/json"}
REFUSALS: dict[int, type[Refusal]] = {
    kind.status: kind for kind in (Invalid, NotFound, Unprocessable, WrongState, LimitReached, Unavailable)
}
SDP = {"content-type": "application/sdp"}


def joins(client: Client, key: str | None = "", content: str = examples.OFFER, query: str = "", **headers: str):
    conference = client.a_conference()["id"]
    key = client.server.a_token(conference) if key == "TOKEN" else key
    path = f"/v1.0/conferences/{conference}/join{query}"
    return client.send("POST", path, key=key, content=content, headers={**SDP, **headers})


def with_token(client: Client, method: str, path: str, **fields: Any) -> httpx.Response:
    """Asks with a join token for a conference of Ann's."""
    conference = client.a_conference()["id"]
    token = client.server.a_token(conference, **fields)
    return client.send(method, path.format(conference=conference), key=token)


def too_often(client: Client) -> httpx.Response:
    conference = client.a_conference()["id"]
    token = client.server.a_token(conference, seats=1)
    for _ in range(joining.OFFERS_AT_ONCE + 2):
        path = f"/v1.0/conferences/{conference}/join"
        answer = client.send("POST", path, key=token, content=examples.OFFER, headers=SDP)
    return answer


def mutes_too_often(client: Client) -> httpx.Response:
    conference = client.a_conference()["id"]
    token = client.server.a_token(conference, seats=1)
    call = client.server.a_page(ANN, conference, client.server.tokens[token].id).id
    for _ in range(joining.CHANGES_AT_ONCE + 2):
        answer = client.send("POST", f"/v1.0/conferences/{conference}/join/{call}/mute", key=token)
    return answer


def makes_token(client: Client, **body: Any) -> httpx.Response:
    return client.post(f"/v1.0/conferences/{client.a_conference()['id']}/tokens", body)


PROVOKED: dict[str, Callable[[Client], httpx.Response]] = {
    "bad_request": lambda c: c.get(CONFERENCES, headers={"host": "a b"}),
    "invalid_json": lambda c: c.post(CONFERENCES, content=b"{", headers=JSON),
    "json_too_deep": lambda c: c.post(CONFERENCES, content=b"[" * 100, headers=JSON),
    "missing_field": lambda c: c.post(CONFERENCES, {}),
    "unknown_field": lambda c: c.post(CONFERENCES, {"type": "conference", "x": 1}),
    "invalid_value": lambda c: c.post(CONFERENCES, {"type": "conference", "timeout": -1}),
    "read_only_field": lambda c: c.put(f"{CONFERENCES}/{UNKNOWN}", {"id": UNKNOWN.replace("9", "8")}),
    "invalid_id": lambda c: c.get(f"{CONFERENCES}/x"),
    "unknown_parameter": lambda c: c.get(f"{CONFERENCES}?x=1"),
    "invalid_parameter": lambda c: c.get(f"{CONFERENCES}?page_size=0"),
    "invalid_page_token": lambda c: c.get(f"{CONFERENCES}?page_token=x"),
    "authentication_required": lambda c: c.get(CONFERENCES, key=None),
    "invalid_credentials": lambda c: c.get(CONFERENCES, key="x"),
    "route_not_found": lambda c: c.get("/v1.0/nothing"),
    "conference_not_found": lambda c: c.get(f"{CONFERENCES}/{UNKNOWN}"),
    "conferencecall_not_found": lambda c: c.get(f"/v1.0/conferencecalls/{UNKNOWN}"),
    "call_not_found": lambda c: c.get(f"/v1.0/calls/{UNKNOWN}"),
    "recording_not_found": lambda c: c.get(f"/v1.0/recordingfiles/{UNKNOWN}"),
    "recording_has_no_file": lambda c: c.get(f"/v1.0/recordingfiles/{c.server.a_recording().id}"),
    "range_not_satisfiable": lambda c: c.get(
        f"/v1.0/recordingfiles/{c.server.a_recording(b'RIFF').id}", headers={"range": "bytes=9-"}
    ),
    "method_not_allowed": lambda c: c.send("PATCH", CONFERENCES),
    "body_too_large": lambda c: c.post(CONFERENCES, content=b"x" * 2_000_000, headers=JSON),
    "unsupported_media_type": lambda c: c.post(CONFERENCES, content=b"{}"),
    "too_many_long_polls": lambda c: c.get("/v1.0/events?wait_s=1"),
    "bad_sdp": lambda c: joins(c, content="m=audio"),
    "bad_seat": lambda c: joins(c, seat="a seat"),
    "bad_name": lambda c: joins(c, query="?name=" + "x" * 65),
    "bad_scopes": lambda c: makes_token(c, role="listener", scopes=["join", "publish"]),
    "token_expired": lambda c: with_token(c, "GET", "/v1.0/join", tm_expire="2000-01-01 00:00:00.000000"),
    "token_revoked": lambda c: with_token(c, "GET", "/v1.0/join", id=c.server.revoked.add(UNKNOWN) or UNKNOWN),
    "scope_missing": lambda c: with_token(c, "GET", CONFERENCES),
    "token_wrong_conference": lambda c: with_token(c, "GET", f"{CONFERENCES}/{UNKNOWN}/participants"),
    "join_token_required": lambda c: c.get("/v1.0/join"),
    "token_not_found": lambda c: c.delete(f"{CONFERENCES}/{c.a_conference()['id']}/tokens/{UNKNOWN}"),
    "too_many_joins": too_often,
    "too_many_changes": mutes_too_often,
    "webrtc_off": lambda c: joins(Client(c.server, webrtc=False)),
    "internal_error": lambda _: Client(refused_with_bug()).post(CONFERENCES, {"type": "conference"}),
}
"""How a client gets each of the API's own codes. The others are the core's: they are refused by it here."""


def refused_with_bug() -> FakeServer:
    server = FakeServer()
    server.refusal = RuntimeError("secret inner state")
    return server


@pytest.mark.parametrize("code", CATALOGUE)
def test_each_code_leaves_as_a_problem_document_with_its_title_and_status(
    client: Client, monkeypatch: pytest.MonkeyPatch, code: str
):
    monkeypatch.setattr(waiting, "LONG_POLLS_MAX", 0)
    kind = CATALOGUE[code]
    if code in PROVOKED:
        answer = PROVOKED[code](client)
    else:
        refusal = REFUSALS[kind.status](code, "A sentence.", "/name")
        answer = Client(refused(refusal)).post(CONFERENCES, {"type": "conference"})
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert list(problem) == ["type", "title", "status", "detail", "instance", "code", "request_id", "errors"]
    assert problem["code"] == code
    assert (problem["title"], problem["status"], answer.status_code) == (kind.title, kind.status, kind.status)
    assert problem["type"] == f"/docs/errors#{code}"
    assert problem["instance"].startswith("/v1.0/")
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"].endswith(".")
    assert ("retry-after" in answer.headers) == (kind.status in (429, 503))


def codes_in(package: str) -> set[str]:
    """The codes that a package refuses with, as its source has them."""
    found: set[str] = set()
    for path in (Path(plenary.__file__).parent / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {kind.__name__ for kind in REFUSALS.values()}
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(str(node.args[0].value))
    return found


CHECKED_BEFORE = {"invalid_page_size", "invalid_position", "invalid_limit"}
"""What the store refuses in a parameter that the API has refused already."""


def test_every_code_of_the_core_and_the_store_is_in_the_catalogue():
    assert codes_in("core") | codes_in("store") <= CATALOGUE.keys() | CHECKED_BEFORE


def test_a_code_without_a_row_keeps_its_meaning():
    answer = Client(refused(WrongState("brand_new", "Not now.", "/name"))).post(CONFERENCES, {"type": "conference"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["type"]) == (409, "brand_new", "/docs/errors")
    assert problem["errors"] == [{"pointer": "/name", "detail": "Not now."}]


def test_a_bug_tells_the_client_its_request_id_and_nothing_else(capsys: pytest.CaptureFixture[str]):
    answer = Client(refused_with_bug()).post(CONFERENCES, {"type": "conference"}, headers={"x-request-id": "my-own-id"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "RuntimeError" not in answer.text
    assert answer.json()["request_id"] == "my-own-id"
    logged = capsys.readouterr().out
    assert "my-own-id" in logged
    assert "secret inner state" in logged


@pytest.mark.parametrize("failing", ["customer_of", "conferences"])
def test_a_database_that_fails_is_503(client: Client, server: FakeServer, failing: str):
    async def busy(*_: Any, **__: Any) -> None:
        raise DatabaseBusy("Another program holds a lock on /secret/path.")

    if failing == "conferences":
        server.conferences = busy  # type: ignore[method-assign]
        answer = client.get(CONFERENCES)
    else:
        answer = Client(server, customer_of=busy).get(CONFERENCES)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        (CONFERENCES, "GET, HEAD, POST, OPTIONS"),
        (f"{CONFERENCES}/{UNKNOWN}", "GET, HEAD, PUT, DELETE, OPTIONS"),
        (f"{CONFERENCES}/{UNKNOWN}/recording_start", "POST, OPTIONS"),
        ("/ping", "GET, HEAD, OPTIONS"),
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "BREW", "TRACE"])
def test_a_wrong_method_is_told_which_are_right(client: Client, method: str, path: str, allow: str):
    answer = client.send(method, path, key=None)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "path",
    [
        "/v1.0",
        "/v1.0/",
        "/v2.0/conferences",
        f"{CONFERENCES}/{UNKNOWN}/x",
        "/%2e%2e/etc/passwd",
        "/v1.0/%00",
    ],
)
def test_an_unknown_path_is_404_with_or_without_a_key(client: Client, path: str):
    for key in (client.key, None):
        answer = client.get(path, key=key)
        assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")


@pytest.mark.parametrize(
    "id", ["x", "1", UNKNOWN + "0", UNKNOWN[:-1], UNKNOWN.replace("-", ""), "%27%20OR%201=1--", "%3Cscript%3E", "%0a"]
)
def test_a_malformed_id_is_refused_and_quoted_harmlessly(client: Client, id: str):
    answer = client.get(f"{CONFERENCES}/{id}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_id")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_malformed_id_is_quoted_as_it_was_sent(client: Client):
    assert "'MyRoom'" in client.get(f"{CONFERENCES}/MyRoom").json()["detail"]


def test_an_id_may_be_written_in_capitals(client: Client):
    id = client.a_conference()["id"]
    assert client.get(f"{CONFERENCES}/{id.upper()}").status_code == 200
