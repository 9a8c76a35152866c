"""What pages and their tokens may ask, and how it is passed on."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from plenary.api import examples, joining
from plenary.api.answers import CallStatistics
from plenary.api.operations import OPERATIONS
from plenary.core import events
from plenary.core.changes import Row
from plenary.core.resources import SCOPES, CallStatus, TokenRole

from .fake import ANN, BOB, Client, FakeServer

SDP = {"content-type": "application/sdp"}


class Page:
    """Somebody with a join token for a conference of Ann's."""

    def __init__(self, client: Client, **token: Any) -> None:
        self.client = client
        self.conference = client.a_conference()["id"]
        self.base = f"/v1.0/conferences/{self.conference}"
        self.key = client.server.a_token(self.conference, **token)
        self.token = client.server.tokens[self.key]

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.client.send(method, path, key=self.key, **options)

    def join(self, query: str = "", **headers: str) -> httpx.Response:
        path = f"{self.base}/join{query}"
        return self.ask("POST", path, content=examples.OFFER, headers={**SDP, **headers})

    def joined(self, **fields: Any) -> str:
        """Its call is up."""
        return self.client.server.a_page(ANN, self.conference, self.token.id, **fields).id


def asked(server: FakeServer) -> Any:
    return server.asked[-1]


# --- Tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_is_made_shown_once_and_listed(client: Client):
    conference = client.a_conference()["id"]
    made = client.post(f"/v1.0/conferences/{conference}/tokens", {"name": "Ann", "role": "listener", "expiry": 60})
    assert made.status_code == 201
    token = made.json()
    assert (token["name"], token["role"], token["scopes"]) == ("Ann", "listener", ["join", "roster"])
    assert token["url"] == f"/join/{token['token']}"
    (listed,) = client.get(f"/v1.0/conferences/{conference}/tokens").json()["result"]
    assert listed == {name: value for name, value in token.items() if name not in ("token", "url")}


@pytest.mark.parametrize("role", TokenRole)
def test_a_role_brings_its_scopes_which_can_only_be_fewer(client: Client, role: TokenRole):
    path = f"/v1.0/conferences/{client.a_conference()['id']}/tokens"
    assert client.post(path, {"role": role}).json()["scopes"] == list(SCOPES[role])
    assert client.post(path, {"role": role, "scopes": ["join"]}).json()["scopes"] == ["join"]
    for scopes in ([], ["roster"], ["join", "everything"]):
        assert client.post(path, {"role": role, "scopes": scopes}).json()["code"] == "bad_scopes"


@pytest.mark.parametrize("body", [{"expiry": 0}, {"expiry": 10**9}, {"seats": 0}, {"role": "king"}, {"admin": True}])
def test_what_a_token_can_not_be(client: Client, body: dict[str, Any]):
    answer = client.post(f"/v1.0/conferences/{client.a_conference()['id']}/tokens", body)
    assert (answer.status_code, answer.json()["code"]) in ((400, "invalid_value"), (400, "unknown_field"))


def test_who_asks_about_a_token_without_one_is_told_to_send_one_and_where_it_comes_from(client: Client):
    for key, status, code in ((None, 401, "authentication_required"), (client.key, 403, "join_token_required")):
        answer = client.get("/v1.0/join", key=key)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert "Send a join token" in answer.json()["detail"]
        assert "POST /v1.0/conferences/{id}/tokens" in answer.json()["detail"]


def test_a_token_that_is_taken_back_hangs_up_who_came_by_it(client: Client, server: FakeServer):
    page = Page(client)
    assert client.delete(f"{page.base}/tokens/{page.token.id}").status_code == 200
    assert asked(server) == events.EndToken(ask=asked(server).ask, customer=ANN, token=page.token.id)
    assert page.ask("GET", "/v1.0/join").json()["code"] == "token_revoked"


def test_a_token_that_is_taken_back_while_an_offer_by_it_comes_in_lets_nobody_in(client: Client, server: FakeServer):
    page = Page(client)

    async def offer() -> AsyncGenerator[bytes]:
        yield examples.OFFER[:20].encode()
        taken_back = await client.asend("DELETE", f"{page.base}/tokens/{page.token.id}")
        assert taken_back.status_code == 200
        yield examples.OFFER[20:].encode()

    answer = page.ask("POST", f"{page.base}/join", content=offer(), headers=SDP)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
    assert isinstance(asked(server), events.EndToken)


def test_a_token_says_what_it_is_good_for(client: Client):
    page = Page(client, name="Ann")
    info = page.ask("GET", "/v1.0/join").json()
    assert (info["conference_id"], info["token_id"], info["name"]) == (page.conference, page.token.id, "Ann")


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if not o.public], ids=lambda operation: operation.name)
def test_a_token_does_what_its_scopes_name_and_nothing_else(client: Client, operation: Any):
    """With all scopes but the one it needs, and where no scope is enough."""
    scopes = [scope for scope in SCOPES[TokenRole.MODERATOR] if scope != operation.scope]
    page = Page(client, scopes=scopes)
    ids = dict.fromkeys(examples.IDS, page.conference)
    answer = page.ask(operation.method, operation.path.format(**ids), content=b"{}", headers={"seat": "x"})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


def test_a_token_is_good_for_its_conference_only(client: Client):
    page, other = Page(client), client.a_conference()["id"]
    answer = page.ask("GET", f"/v1.0/conferences/{other}/participants")
    assert (answer.status_code, answer.json()["code"]) == (403, "token_wrong_conference")


# --- In and out ------------------------------------------------------------------------------------------------------


def test_an_offer_is_passed_on_with_what_the_token_says_of_the_page(client: Client, server: FakeServer):
    page = Page(client, name="Ann", role=TokenRole.LISTENER, seats=3)
    answer = page.join("?name=Somebody", seat="my-seat")
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/sdp")
    request = asked(server)
    assert answer.headers["location"] == f"{page.base}/join/{request.call}"
    assert (request.sdp, request.name, request.seat) == (examples.OFFER, "Ann", "my-seat")
    assert (request.token, request.role, request.speaks, request.seats_max) == (page.token.id, "listener", False, 3)


def test_a_token_without_a_name_leaves_it_to_the_page(client: Client, server: FakeServer):
    assert Page(client).join("?name=J%C3%BCrgen").status_code == 201
    assert asked(server).name == "Jürgen"


def test_an_access_key_joins_as_anybody(client: Client, server: FakeServer):
    path = f"/v1.0/conferences/{client.a_conference()['id']}/join"
    assert client.send("POST", path, content=examples.OFFER, headers=SDP).status_code == 201
    assert (asked(server).token, asked(server).speaks, asked(server).seats_max) == ("", True, 0)


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (b"v=0", {"content-type": "application/json"}, "unsupported_media_type"),
        (b"v=0", {}, "unsupported_media_type"),
        (b"v=0\xff", SDP, "bad_sdp"),
        (b"", SDP, "bad_sdp"),
        (b"v=0" + b"x" * 65_536, SDP, "body_too_large"),
    ],
)
def test_what_is_no_offer_goes_no_further(
    client: Client, server: FakeServer, content: bytes, headers: dict[str, str], code: str
):
    page = Page(client)
    answer = page.ask("POST", f"{page.base}/join", content=content, headers=headers)
    assert answer.json()["code"] == code
    assert not isinstance(asked(server), events.JoinConference)


@pytest.mark.parametrize(
    ("method", "path", "body", "kind"),
    [
        ("PATCH", "", None, events.RestartSession),
        ("DELETE", "", None, events.LeaveConference),
        ("POST", "/mute", None, events.MuteSelf),
        ("POST", "/unmute", None, events.MuteSelf),
        ("POST", "/digits", {"digits": "0123456789*#AB"}, events.PressDigits),
    ],
)
def test_what_a_page_does_is_passed_on_with_its_token(
    client: Client, server: FakeServer, method: str, path: str, body: Any, kind: type[events.PageRequest]
):
    page = Page(client)
    call = page.joined()
    sent = {"content": examples.OFFER, "headers": SDP} if method == "PATCH" else {"json": body} if body else {}
    assert page.ask(method, f"{page.base}/join/{call}{path}", **sent).status_code in (200, 204)
    request = asked(server)
    assert isinstance(request, kind)
    assert (request.conference, request.call, request.token) == (page.conference, call, page.token.id)


@pytest.mark.parametrize("digits", ["", "x", "1" * 33, "1 2"])
def test_keys_are_those_of_a_phone(client: Client, digits: str):
    page = Page(client)
    answer = page.ask("POST", f"{page.base}/join/{page.joined()}/digits", json={"digits": digits})
    assert answer.json()["code"] == "invalid_value"
    assert "1 to 32 of the keys 0123456789*#ABCD" in answer.json()["detail"]


@pytest.mark.parametrize("seats", [1, 200])
def test_offers_that_come_too_fast_are_held_off_and_taken_again_later(client: Client, server: FakeServer, seats: int):
    """All who came by a link may come back at once, as they must when the media engine has died."""
    page = Page(client, seats=seats)
    for _ in range(joining.OFFERS_AT_ONCE + seats):
        assert page.join().status_code == 201
    refused = page.join()
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_joins")
    assert "retry-after" in refused.headers
    assert Page(client).join().status_code == 201
    server.seconds += 1.0 / (joining.OFFERS_PER_S + seats / 10)
    assert page.join().status_code == 201
    assert page.join().status_code == 429


@pytest.mark.parametrize("change", ["mute", "unmute", "digits", "another"])
def test_mutes_and_keys_that_come_too_fast_are_held_off_and_leaving_never_is(
    client: Client, server: FakeServer, change: str
):
    page = Page(client, role=TokenRole.MODERATOR, seats=1)
    mine = f"{page.base}/join/{page.joined()}"
    other = f"/v1.0/conferencecalls/{server.a_participant(ANN, page.conference).id}/mute"
    path, body = (
        (other, {}) if change == "another" else (f"{mine}/{change}", {"digits": "1"} if change == "digits" else {})
    )
    for _ in range(joining.CHANGES_AT_ONCE + 1):
        assert page.ask("POST", path, json=body).status_code in (200, 204)
    taken = len(server.asked)
    refused = page.ask("POST", path, json=body)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_changes")
    assert len(server.asked) == taken
    assert client.post(other).status_code == 200
    assert page.ask("DELETE", mine).status_code == 204
    server.seconds += 1.0 / joining.CHANGES_PER_S
    assert page.ask("POST", path, json=body).status_code in (200, 204)


# --- Who is there ----------------------------------------------------------------------------------------------------


def look(page: Page, **query: str) -> dict[str, Any]:
    answer = page.ask("GET", f"{page.base}/participants", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def enters(page: Page, server: FakeServer, call: str = "", **fields: Any) -> Any:
    member = server.a_participant(ANN, page.conference)

    member = msgspec.structs.replace(member, **{"reference_id": call or member.reference_id, **fields})
    server.roster.load([Row(resource=member, state=b"", live=True)])
    return member


def test_a_page_sees_who_is_there_and_how_it_stands(client: Client, server: FakeServer):
    page = Page(client)
    call = page.joined()
    assert look(page, call_id=call)["you"]["state"] == "connecting"
    mine = enters(page, server, call, name="Ann", kind="web", muted=True)
    enters(page, server, name="+49301234", talking=True)
    seen = look(page, call_id=call)
    assert [(one["name"], one["you"], one["talking"], one["muted"]) for one in seen["participants"]] == [
        ("Ann", True, False, True),
        ("+49301234", False, True, False),
    ]
    assert (seen["total"], seen["you"]["state"], seen["you"]["participant_id"]) == (2, "in_room", mine.id)


def test_how_loud_somebody_is_is_told_while_he_is_not_muted(client: Client, server: FakeServer):
    page = Page(client)
    heard, muted = enters(page, server), enters(page, server, muted=True)
    for member in (heard, muted):
        figures = {**examples.CALL_STATISTICS, "call_id": member.reference_id, "level_dbfs": -20.0417}
        server.statistics[member.reference_id] = msgspec.convert(figures, CallStatistics)
    assert [one["level_dbfs"] for one in look(page)["participants"]] == [-20.0, None]


def test_without_the_scope_only_the_number_is_told(client: Client, server: FakeServer):
    page = Page(client, scopes=["join"])
    enters(page, server)
    seen = look(page)
    assert (seen["total"], seen["participants"], seen["you"]) == (1, [], None)


def test_a_large_room_is_shown_in_part_with_you_and_those_who_talk(client: Client, server: FakeServer):
    page = Page(client)
    call = page.joined()
    for number in range(joining.SHOWN_MAX + 20):
        enters(page, server, talking=number == joining.SHOWN_MAX + 5)
    mine = enters(page, server, call)
    seen = look(page, call_id=call)
    assert (seen["total"], len(seen["participants"])) == (joining.SHOWN_MAX + 21, joining.SHOWN_MAX)
    assert mine.id in [one["id"] for one in seen["participants"]]
    assert any(one["talking"] for one in seen["participants"])


def test_a_page_that_is_out_hears_why(client: Client):
    page = Page(client)
    over = {"status": CallStatus.HANGUP, "hangup_reason": "media_lost"}
    assert look(page, call_id=page.joined(**over))["you"]["reason"] == "media_lost"
    assert look(page, call_id=page.joined(media_lost=True))["you"]["reconnect"]


def test_a_call_that_is_not_its_own_does_not_exist_for_a_page(client: Client, server: FakeServer):
    page, stranger = Page(client), Page(client)
    phone = client.post(
        "/v1.0/calls", {"source": {"target": "a@b.example"}, "destinations": [{"target": "c@d.example"}]}
    ).json()["calls"][0]["id"]
    others = [
        server.a_page(ANN, page.conference, "another token").id,
        server.a_page(BOB, page.conference, page.token.id).id,
        stranger.joined(),
        phone,
    ]
    for call in others:
        answer = page.ask("GET", f"{page.base}/participants?call_id={call}")
        assert (answer.status_code, answer.json()["code"]) == (404, "call_not_found")
        assert page.ask("GET", f"{page.base}/join/{call}/quality").status_code == 404


def test_a_moderator_mutes_in_his_own_conference_only(client: Client, server: FakeServer):
    page = Page(client, role=TokenRole.MODERATOR)
    here, elsewhere = server.a_participant(ANN, page.conference), server.a_participant(ANN, client.a_conference()["id"])
    assert page.ask("POST", f"/v1.0/conferencecalls/{here.id}/mute").status_code == 200
    assert (asked(server).conferencecall, asked(server).muted) == (here.id, True)
    assert page.ask("POST", f"/v1.0/conferencecalls/{elsewhere.id}/mute").json()["code"] == "conferencecall_not_found"


# --- The page itself -------------------------------------------------------------------------------------------------


@pytest.fixture
def built(tmp_path: Path, server: FakeServer) -> Client:
    """The page as a build leaves it, with a file that is none of its."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Join</title>")
    (tmp_path / "assets" / "join-1a2b3c4d.js").write_text("export {};")
    (tmp_path / "assets" / "notes.md").write_text("not for browsers")
    (tmp_path / "secret.txt").write_text("not to be told")
    return Client(server, key=None, join_page=tmp_path)


def test_the_page_is_served_to_anybody_and_trusts_nobody(built: Client):
    answer = built.get("/join/any.token.at-all")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/join", "/join/"])
def test_a_link_without_its_token_opens_the_page_which_says_so(built: Client, path: str):
    assert built.get(path).headers["content-type"].startswith("text/html")


def test_assets_are_kept_by_browsers_and_have_their_types(built: Client):
    answer = built.get("/join/assets/join-1a2b3c4d.js")
    assert (answer.text, answer.headers["content-type"]) == ("export {};", "text/javascript; charset=utf-8")
    assert "immutable" in answer.headers["cache-control"]
    assert built.send("HEAD", "/join/assets/join-1a2b3c4d.js").content == b""


@pytest.mark.parametrize("name", ["notes.md", "missing.js", "..%2Fsecret.txt", "%2E%2E%2Fsecret.txt", "../secret.txt"])
def test_nothing_else_is_served(built: Client, name: str):
    answer = built.get(f"/join/assets/{name}")
    assert "not to be told" not in answer.text
    assert answer.status_code == 404 or answer.headers["content-type"].startswith("text/html")


def test_a_server_without_the_page_says_so(client: Client):
    assert client.get("/join/x", key=None).json()["code"] == "route_not_found"
