"""What every answer has, whatever was asked: sizes, HEAD, OPTIONS, request ids, figures."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from plenary.api.decode import BODY_DROPPED_MAX, BODY_MAX

from .fake import ANNS_KEY, Client, FakeServer

PATH = "/v1.0/conferences"


async def asgi(client: Client, messages: list[dict[str, Any]], headers: list[tuple[bytes, bytes]]) -> tuple[Any, int]:
    """Posts a body in these messages. Returns the head of the answer and how many messages were taken."""
    taken, sent = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return messages[taken - 1]

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    sent_headers = [(b"authorization", b"Bearer " + ANNS_KEY.encode()), (b"content-type", b"application/json")]
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": PATH, "raw_path": PATH.encode(),
        "root_path": "", "scheme": "http", "query_string": b"", "client": ("127.0.0.1", 1), "server": ("test", 80),
        "headers": [*sent_headers, *headers],
    }  # fmt: skip
    await client.app(scope, receive, send)
    return sent[0], taken


def test_a_body_whose_length_is_far_too_large_is_refused_unread(client: Client):
    head, taken = asyncio.run(asgi(client, [], [(b"content-length", b"100000000")]))
    assert (head["status"], taken) == (413, 0)
    assert (b"connection", b"close") in head["headers"], "the rest is not waited for"


@pytest.mark.parametrize(("pieces", "read"), [(160, 160), (10_000, BODY_DROPPED_MAX // 65536 + 1)])
def test_a_body_that_is_too_large_is_read_away_within_limits(client: Client, pieces: int, read: int):
    """RFC 9112 section 9.6: 10 MB, or 650, that come in pieces of 64 KiB."""
    messages = [{"type": "http.request", "body": b" " * 65536, "more_body": True}] * (pieces - 1)
    messages.append({"type": "http.request", "body": b" " * 65536})
    head, taken = asyncio.run(asgi(client, messages, []))
    assert (head["status"], taken) == (413, read)


def test_a_body_of_exactly_the_limit_is_read(client: Client):
    body = b'{"type":"conference"}'.ljust(BODY_MAX)
    headers = {"content-type": "application/json"}
    assert client.post(PATH, content=body, headers=headers).status_code == 200
    assert client.post(PATH, content=body + b" ", headers=headers).status_code == 413


def test_a_body_may_come_in_pieces(client: Client):
    async def pieces() -> AsyncIterator[bytes]:
        for byte in b'{"type":"conference"}':
            yield bytes([byte])

    assert client.post(PATH, content=pieces(), headers={"content-type": "application/json"}).status_code == 200


def test_a_client_that_goes_away_in_the_middle_of_its_body_disturbs_nobody(client: Client, server: FakeServer):
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    head, _ = asyncio.run(asgi(client, messages, []))
    assert head["status"] == 400
    assert server.asked == []


@pytest.mark.parametrize("path", [PATH, "/ping", "/docs", "/openapi.json", "/v1.0/nothing"])
def test_head_is_get_without_the_body(client: Client, path: str):
    get, head = client.get(path), client.send("HEAD", path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    same = ("content-length", "content-type")
    assert [head.headers[name] for name in same if path != "/v1.0/nothing"] == [
        get.headers[name] for name in same if path != "/v1.0/nothing"
    ]


def test_a_method_that_is_not_known_is_answered_with_all_that_are(client: Client):
    one = f"{PATH}/{client.a_conference()['id']}"
    for path, allow in ((PATH, "GET, HEAD, POST, OPTIONS"), (f"{one}/join/{one[-36:]}", "PATCH, DELETE, OPTIONS")):
        answer = client.send("PUT", path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allow)
        assert client.send("OPTIONS", path).headers["allow"] == allow


def test_browsers_of_any_origin_may_ask_as_no_cookie_counts(client: Client):
    preflight = client.send("OPTIONS", PATH, key=None, headers={"origin": "https://app.example"})
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert client.get(PATH).headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in client.get("/metrics").headers


@pytest.mark.parametrize("given", ["a", "7f0c-1d2e:3.4_5", "x" * 128])
def test_the_clients_request_id_comes_back(client: Client, given: str):
    assert client.get(PATH, headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>", "é".encode(), "a\tb"])
def test_another_request_id_is_replaced(client: Client, given: Any):
    made = client.get(PATH, headers={"x-request-id": given}).headers["x-request-id"]
    assert len(made) == 32
    assert made != client.get(PATH).headers["x-request-id"]


def test_answers_are_not_stored_and_not_guessed_at(client: Client):
    for path in (PATH, "/v1.0/nothing", "/healthz"):
        headers = client.get(path).headers
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_a_trailing_slash_changes_nothing(client: Client):
    assert client.get(PATH + "/").status_code == 200


# --- The server itself -----------------------------------------------------------------------------------------------


def test_health_says_which_version_is_alive(client: Client):
    assert client.get("/ping").json() == {"message": "pong"}
    assert client.get("/healthz").json() == {"status": "ok", "version": "0.0.1"}


def test_readiness_says_what_is_missing_and_where_phones_call(client: Client, server: FakeServer):
    sip = [{"address": "192.0.2.1:5060", "srtp": "required"}]
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": [], "sip": sip})
    server.reasons = ["The media engine is not connected."]
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "reasons": server.reasons, "sip": sip})


def test_probes_may_add_parameters(client: Client):
    assert client.get("/readyz?verbose=1").status_code == 200


def test_requests_are_counted_by_route_and_never_by_id(client: Client):
    id = client.a_conference()["id"]
    client.get(f"{PATH}/{id}")
    client.get(f"{PATH}/{id}x")
    client.get(f"/nothing/{id}")
    client.send("BREW", PATH)
    text = client.get("/metrics").text
    route = "/v1.0/conferences/{conference_id}"
    assert f'plenary_http_requests_total{{method="GET",route="{route}",status="200"}} 1.0' in text
    assert f'plenary_http_requests_total{{method="GET",route="{route}",status="400"}} 1.0' in text
    assert 'plenary_http_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert 'plenary_http_requests_total{method="other",route="none",status="405"} 1.0' in text
    assert f'plenary_http_request_duration_seconds_count{{method="GET",route="{route}"}} 2.0' in text
    assert id not in text


def test_the_server_adds_its_own_figures(server: FakeServer):
    metrics = server.deps().metrics
    metrics.gauge("plenary_calls", "Calls that are up.", lambda: 7)
    metrics.counter("plenary_joins", "Participants who came in.").inc(3)
    text = Client(server, metrics=metrics).get("/metrics").text
    assert "# HELP plenary_calls Calls that are up." in text
    assert "plenary_calls 7.0" in text
    assert "plenary_joins_total 3.0" in text
