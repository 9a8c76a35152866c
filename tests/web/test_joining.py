"""Pages against a whole server: over HTTP, on disk, with an engine that negotiates and makes no sound."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from pages import POLL_S, Page, a_house, an_offer

from plenary import doors


async def test_a_page_joins_is_seen_and_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with a_house(tmp_path, monkeypatch) as house:
        conference = await house.conference(name="Weekly")
        page = await house.page(conference, name="Ann")
        info = (await page.ask("GET", "/v1.0/join")).json()
        assert (info["conference_name"], info["name"], info["webrtc"]) == ("Weekly", "Ann", True)
        answer = await page.join()
        assert (answer.status_code, answer.headers["content-type"]) == (201, "application/sdp")
        assert "a=ice-lite" in answer.text
        seen = await page.until(state="in_room")
        assert [(one["name"], one["kind"], one["role"], one["you"]) for one in seen["participants"]] == [
            ("Ann", "web", "participant", True)
        ]
        call = (await house.rest.get(f"/v1.0/calls/{seen['you']['call_id']}")).json()
        assert (call["status"], call["source"]["type"], call["source"]["target"]) == (
            "progressing",
            "web",
            page.token["id"],
        )
        assert (await page.ask("DELETE", page.where)).status_code == 204
        seen = await page.until(state="over")
        assert (seen["total"], seen["you"]["reason"]) == (0, "hangup")
        assert (await page.restart()).json()["code"] == "call_over"


async def test_a_page_with_the_access_key_and_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with a_house(tmp_path, monkeypatch) as house:
        conference = await house.conference()
        answer = await house.rest.post(
            f"/v1.0/conferences/{conference}/join?name=Bo%20b",
            content=an_offer(),
            headers={"content-type": "application/sdp"},
        )
        assert answer.status_code == 201
        call = answer.headers["location"].rpartition("/")[2]
        assert (await house.rest.get(f"/v1.0/calls/{call}")).json()["source"]["target_name"] == "Bo b"


async def test_a_reload_and_another_network_lead_to_the_same_seat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with a_house(tmp_path, monkeypatch) as house:
        page = await house.page(await house.conference())
        await page.join(name="Ann")
        where = page.where
        await page.until(state="in_room")
        assert (await page.restart()).status_code == 200
        assert (await page.join()).status_code == 201
        assert page.where == where
        assert (await page.look())["total"] == 1


async def test_what_is_no_offer_for_us_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with a_house(tmp_path, monkeypatch) as house:
        page = await house.page(await house.conference())
        video = an_offer().replace("m=audio", "m=video")
        no_ice = "\r\n".join(line for line in an_offer().splitlines() if "ice-" not in line)
        for sdp, code in ((video, "no_common_codec"), (an_offer(codecs="L16/44100"), "no_common_codec")):
            answer = await page.join(sdp)
            assert (answer.status_code, answer.json()["code"]) == (422, code)
        for sdp in ("v=0\r\nx", no_ice):
            assert (await page.join(sdp)).json()["code"] == "bad_sdp"
        too_long = "v=0\r\n" + "a=x\r\n" * 20_000
        assert (await page.join(too_long)).json()["code"] == "body_too_large"
        json = await page.ask("POST", f"{page.conference}/join", json={})
        assert json.json()["code"] == "unsupported_media_type"


async def test_a_killed_engine_calls_the_page_back_to_its_seat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with a_house(tmp_path, monkeypatch) as house:
        page = await house.page(await house.conference(), name="Ann")
        await page.join()
        where = page.where
        await page.until(state="in_room")
        await house.kill_engine()
        await page.until(reconnect=True)
        assert (await page.restart()).json()["code"] == "media_lost"
        assert (await page.join()).status_code == 201
        assert page.where == where
        seen = await page.until(reconnect=False, state="in_room")
        assert seen["total"] == 1


async def test_a_new_server_goes_on_with_the_pages_of_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The engine outlives its server: a child process serves, and is killed."""
    async with a_house(tmp_path, monkeypatch) as house:
        page = await house.page(await house.conference(), name="Ann")
        await page.join()
        await page.until(state="in_room")
        dead = house.server.server
        dead._put = lambda _: None
        engine = dead.engine.pid
        for task in dead._tasks:
            task.cancel()
        await asyncio.gather(*dead._tasks, return_exceptions=True)
        dead._is_broken = lambda: True
    assert engine is not None
    try:
        async with a_house(tmp_path, monkeypatch) as house:
            assert house.server.server.engine.pid == engine
            page = Page(house.base, page.conference.rpartition("/")[2], page.token).at(page.where)
            seen = await page.look()
            assert (seen["you"]["state"], seen["total"]) == ("in_room", 1)
            assert (await page.restart()).status_code == 200
            assert (await page.ask("DELETE", page.where)).status_code == 204
    finally:
        os.kill(engine, signal.SIGKILL)


async def test_mute_keys_and_a_token_that_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with a_house(tmp_path, monkeypatch) as house:
        conference = await house.conference()
        ann, listener = await house.page(conference, name="Ann"), await house.page(conference, role="listener")
        boss = await house.page(conference, name="Boss", role="moderator")
        for page in (ann, listener, boss):
            await page.join()
            await page.until(state="in_room")
        assert (await ann.ask("POST", f"{ann.where}/mute")).json()["muted"]
        assert not (await ann.ask("POST", f"{ann.where}/unmute")).json()["muted"]
        assert (await ann.ask("POST", f"{ann.where}/digits", json={"digits": "1#"})).status_code == 204
        assert (await listener.look())["you"] | {"call_id": "", "participant_id": ""} == {
            "call_id": "", "participant_id": "", "state": "in_room", "muted": True, "can_unmute": False,
            "reconnect": False, "recorded": False, "reason": "",
        }  # fmt: skip
        assert (await listener.ask("POST", f"{listener.where}/unmute")).json()["code"] == "scope_missing"
        anns = (await ann.look())["you"]["participant_id"]
        assert (await ann.ask("POST", f"/v1.0/conferencecalls/{anns}/mute")).json()["code"] == "scope_missing"
        assert (await boss.ask("POST", f"/v1.0/conferencecalls/{anns}/mute")).json()["muted"]
        assert (await boss.ask("DELETE", ann.where)).json()["code"] == "call_not_found"
        assert (await house.rest.delete(f"{ann.conference}/tokens/{ann.token['id']}")).status_code == 200
        assert (await ann.ask("GET", "/v1.0/join")).json()["code"] == "token_revoked"
        assert (await boss.look())["total"] == 2


async def test_a_token_that_is_taken_back_while_an_offer_by_it_comes_in_lets_nobody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_house(tmp_path, monkeypatch) as house:
        page = await house.page(await house.conference(), name="Ann")
        sdp = an_offer().encode()

        async def offer() -> AsyncGenerator[bytes]:
            yield sdp[:100]
            assert (await page.ask("GET", "/v1.0/join")).status_code == 200
            assert (await house.rest.delete(f"{page.conference}/tokens/{page.token['id']}")).status_code == 200
            yield sdp[100:]

        headers = {"content-type": "application/sdp"}
        answer = await page.ask("POST", f"{page.conference}/join", content=offer(), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
        assert (await house.rest.get("/v1.0/calls")).json()["result"] == []


async def test_a_token_that_expires_takes_nothing_from_who_is_in_and_lets_nobody_new_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(doors, "KEY_REMEMBERED_S", 0.0)
    async with a_house(tmp_path, monkeypatch) as house:
        page = await house.page(await house.conference(), name="Ann")
        await page.join()
        seen = await page.until(state="in_room")
        await house.expire(page)
        assert (await page.ask("GET", "/v1.0/join")).status_code == 200
        assert (await page.ask("POST", f"{page.where}/mute")).json()["muted"]
        assert (await page.ask("POST", f"{page.where}/digits", json={"digits": "1"})).status_code == 204
        assert (await page.restart()).status_code == 200
        where = page.where
        assert (await page.join()).status_code == 201
        assert page.where == where
        page.seat = "another-seat"
        refused = await page.join()
        assert (refused.status_code, refused.json()["code"]) == (401, "token_expired")
        assert "invalid_token" in refused.headers["www-authenticate"]
        watching = asyncio.create_task(page.look(seen["version"], 20))
        assert (await page.ask("DELETE", where)).status_code == 204
        await watching
        while (await page.ask("GET", "/v1.0/join")).status_code == 200:  # until it is on disk that he is gone
            await asyncio.sleep(POLL_S)
        for method, path in (
            ("GET", "/v1.0/join"),
            ("POST", f"{where}/mute"),
            ("GET", f"{page.conference}/participants"),
        ):
            assert (await page.ask(method, path)).json()["code"] == "token_expired"


async def test_a_recording_and_who_talks_wake_those_who_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with a_house(tmp_path, monkeypatch) as house:
        page = await house.page(await house.conference())
        await page.join()
        seen = await page.until(state="in_room")
        watching = asyncio.create_task(page.look(seen["version"], 20))
        await house.rest.post(f"{page.conference}/recording_start")
        assert (await watching)["you"]["recorded"]


async def test_browsers_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with a_house(tmp_path, monkeypatch, webrtc_port=0) as house:
        page = await house.page(await house.conference())
        assert not (await page.ask("GET", "/v1.0/join")).json()["webrtc"]
        assert (await page.join()).json()["code"] == "webrtc_off"


async def test_a_deleted_conference_ends_its_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with a_house(tmp_path, monkeypatch) as house:
        page = await house.page(await house.conference())
        await house.rest.delete(page.conference)
        assert (await page.join()).json()["code"] == "conference_terminated"
        made = await house.rest.post(f"{page.conference}/tokens", json={})
        assert made.json()["code"] == "conference_terminated"
