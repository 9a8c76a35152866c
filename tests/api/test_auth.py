"""Who is asking: three ways to give the key, and none to leak it."""

from collections.abc import AsyncGenerator

import pytest

from .fake import ANNS_KEY, BOBS_KEY, Client, FakeServer

PATH = "/v1.0/conferences"


@pytest.mark.parametrize(
    ("query", "header"),
    [
        (f"?token={ANNS_KEY}", None),
        (f"?accesskey={ANNS_KEY}", None),
        (f"?page_size=5&accesskey={ANNS_KEY}", None),
        (f"?%74oken={ANNS_KEY}", None),
        (f"?token={ANNS_KEY.replace('-', '%2D')}", None),
        ("", f"Bearer {ANNS_KEY}"),
        ("", f"bearer  {ANNS_KEY} "),
        (f"?token={ANNS_KEY}", f"Bearer {BOBS_KEY}"),
        (f"?accesskey=nonsense&token={ANNS_KEY}", None),
    ],
)
def test_the_key_is_taken_from_token_accesskey_or_authorization(client: Client, query: str, header: str | None):
    client.a_conference(name="anns")
    headers = {"authorization": header} if header else {}
    answer = client.get(PATH + query, key=None, headers=headers)
    assert answer.status_code == 200
    assert [row["name"] for row in answer.json()["result"]] == ["anns"]


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {}),
        ("?token=", {}),
        ("", {"authorization": "Basic YW5uOnNlY3JldA=="}),
        ("", {"authorization": "Bearer"}),
        ("", {"authorization": ANNS_KEY}),
        ("", {"cookie": f"token={ANNS_KEY}; accesskey={ANNS_KEY}"}),
    ],
)
def test_without_a_key_nothing_is_told(client: Client, query: str, headers: dict[str, str]):
    answer = client.get(PATH + query, key=None, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_required")
    assert answer.headers["www-authenticate"] == 'Bearer realm="plenary"'


@pytest.mark.parametrize("key", ["wrong", ANNS_KEY + "x", "x" * 10_000, "\u00e9", ANNS_KEY.upper()])
def test_a_wrong_key_is_refused(client: Client, key: str):
    answer = client.get(PATH, key=None, params={"token": key})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    assert "invalid_token" in answer.headers["www-authenticate"]
    assert key not in answer.text


def test_the_key_is_asked_for_before_the_body_is_read(client: Client):
    answer = client.post(PATH, content=b"x" * 2_000_000, key=None)
    assert answer.status_code == 401


def test_a_key_that_is_taken_back_while_a_body_comes_in_does_nothing(client: Client, server: FakeServer):
    async def body() -> AsyncGenerator[bytes]:
        yield b'{"type": '
        server.keys.clear()
        yield b'"conference"}'

    answer = client.post(PATH, content=body(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    assert server.asked == []


def test_the_key_is_gone_from_the_address_before_any_log_can_see_it(client: Client, server: FakeServer, capsys):
    """Access logs of HTTP servers write the query string of the scope when the answer is out."""
    scopes = []
    app = client.app

    async def watching(scope, receive, send):
        scopes.append(scope)
        await app(scope, receive, send)

    client.app = watching
    server.refusal = RuntimeError("a bug")
    answer = client.post(f"{PATH}?token={ANNS_KEY}&accesskey={ANNS_KEY}", {"type": "conference"}, key=None)
    assert answer.status_code == 500
    assert scopes[0]["query_string"] == b""
    logged = capsys.readouterr()
    assert "request failed" in logged.out + logged.err
    assert ANNS_KEY not in logged.out + logged.err + answer.text


def test_the_other_parameters_stay(client: Client):
    answer = client.get(f"{PATH}?page_size=3&token={ANNS_KEY}&page_token=x%26y", key=None)
    assert answer.json()["code"] == "invalid_page_token"


@pytest.mark.parametrize("path", ["/ping", "/healthz", "/readyz", "/openapi.json", "/docs", "/docs/errors"])
def test_health_and_documentation_need_no_key(client: Client, path: str):
    assert client.get(path, key=None).status_code == 200


def test_metrics_need_a_key_unless_the_listener_is_local(client: Client, server: FakeServer):
    assert client.get("/metrics", key=None).status_code == 401
    assert client.get("/metrics", key=BOBS_KEY).status_code == 200
    assert Client(server, open_metrics=True).get("/metrics", key=None).status_code == 200
