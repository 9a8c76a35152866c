"""Chromium and Firefox join by the page, among themselves and with phones: what they hear proves that it works."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from statistics import quantiles

import pytest
from browsers import Wire, without_udp
from hearing import TONES, humming
from hearing import hears as phone_hears
from joining import chromium, enters, firefox, hears, link
from serving import Serving, serving, until
from test_baresip import asks_for_pin
from test_restart import recorded, start_recording

from plenary.testing.tones import RATE_HZ, tone_level_dbfs

ANN, BOB, EVE = TONES["ann"], TONES["bob"], TONES["eve"]
RECORDED_S = 4
SAID_DBFS = -16.0
TOLERANCE_DB = {ANN: 9.0, EVE: 2.0}
"""A browser sets its microphone's gain by itself."""


@contextlib.asynccontextmanager
async def phone_in(server: Serving, conference: str) -> AsyncGenerator:
    """A phone that speaks G.711 and hums its tone in the conference."""
    async with humming("eve") as (eve,):
        await eve.call(f"sip:{conference}@{server.sip}")
        yield eve


async def test_chromium_firefox_and_a_phone_hear_each_other_and_nobody_himself(server: Serving, tmp_path: Path):
    conference = (await server.create(name="Autumn plenary"))["id"]
    async with (
        phone_in(server, conference) as eve,
        chromium(tmp_path, "ann") as ann,
        firefox(tmp_path, "bob") as bob,
    ):
        await asyncio.gather(
            enters(ann, await link(server, conference, "Ann", role="moderator")),
            enters(bob, await link(server, conference, "Bob")),
        )
        await asyncio.gather(hears(ann, {BOB, EVE}), hears(bob, {ANN, EVE}), phone_hears(eve, {ANN, BOB}, 20.0))
        for page in (ann, bob):
            await page.sees("Autumn plenary")
            await page.sees("3 people")
        # The key M of the one, the button of the other.
        await ann.press("m")
        await asyncio.gather(hears(bob, {EVE}), phone_hears(eve, {BOB}))
        await bob.sees("muted")
        await bob.click("Mute")
        await asyncio.gather(hears(ann, {EVE}), phone_hears(eve, set()))
        # Space, held down, lets her speak.
        await ann.key_down(" ")
        await hears(bob, {ANN, EVE})
        await ann.key_up(" ")
        await hears(bob, {EVE})
        await ann.press("m")
        await bob.click("Unmute")
        await asyncio.gather(hears(ann, {BOB, EVE}), hears(bob, {ANN, EVE}))
        await ann.click("Mute Bob")
        await bob.sees("A moderator has muted you")
        await hears(ann, {EVE})
        await bob.click("Unmute")
        await hears(ann, {BOB, EVE})
        await bob.click("Leave")
        await bob.sees("You have left")
        await hears(ann, {EVE})
        await server.until_inside(conference, 2)


@pytest.mark.parametrize("browser", [chromium, firefox])
async def test_a_page_that_is_loaded_anew_comes_back_into_its_seat(server: Serving, tmp_path: Path, browser):
    """Same call, same conferencecall; its actions do not run again."""
    conference = (await server.create())["id"]
    async with phone_in(server, conference) as eve, browser(tmp_path, "ann") as ann:
        await enters(ann, await link(server, conference, "Ann"))
        await asyncio.gather(hears(ann, {EVE}), phone_hears(eve, {ANN}, 20.0))
        before = set(await server.until_inside(conference, 2))
        await ann.reload()
        await ann.sees("Leave")
        await asyncio.gather(hears(ann, {EVE}), phone_hears(eve, {ANN}, 20.0))
        assert set((await server.conference(conference))["conferencecall_ids"]) == before
        assert [event["type"] for event in await server.events(conference)].count("conferencecall_joined") == 2


@pytest.mark.parametrize("browser", [chromium, firefox])
async def test_media_comes_back_after_the_network_was_away_and_is_another_one(server: Serving, tmp_path: Path, browser):
    """An ICE restart (RFC 8445 section 2.4), and a new connection where that is not enough: same call, same seat."""
    conference = (await server.create())["id"]
    async with (
        phone_in(server, conference) as eve,
        browser(tmp_path, "ann") as ann,
        Wire(("127.0.0.1", server.webrtc_port)) as wire,
    ):
        await ann.open(await link(server, conference, "Ann"))
        await wire.lead(ann)
        await ann.click("Join")
        await asyncio.gather(hears(ann, {EVE}), phone_hears(eve, {ANN}, 20.0))
        before = set(await server.until_inside(conference, 2))
        wire.cut()
        await ann.sees("The connection was lost")
        await phone_hears(eve, set())
        wire.mend()
        wire.move()
        await asyncio.gather(hears(ann, {EVE}), phone_hears(eve, {ANN}, 20.0))
        assert "The connection was lost" not in await ann.text()
        assert set((await server.conference(conference))["conferencecall_ids"]) == before


async def test_a_recording_holds_what_a_browser_and_a_phone_say(server: Serving, tmp_path: Path):
    """Each at his level, in a quarter of the fifths of a second: a browser on a busy machine says its tone in few."""
    conference = (await server.create())["id"]
    async with phone_in(server, conference) as eve, chromium(tmp_path, "ann") as ann:
        await enters(ann, await link(server, conference, "Ann"))
        await asyncio.gather(hears(ann, {EVE}), phone_hears(eve, {ANN}, 20.0))
        recording = await start_recording(server, conference)
        await asyncio.sleep(RECORDED_S)
        await server.rest.post(f"/conferences/{conference}/recording_stop")
        await server.until_recording_ended(recording)
        pcm = await recorded(server, recording)
    assert len(pcm) > (RECORDED_S - 1) * RATE_HZ
    fifths = [pcm[at : at + RATE_HZ // 5] for at in range(0, len(pcm) - RATE_HZ // 5, RATE_HZ // 5)]
    for tone in (ANN, EVE):
        *_, often_dbfs = quantiles((tone_level_dbfs(fifth, tone) for fifth in fifths), n=4)
        assert abs(often_dbfs - SAID_DBFS) < TOLERANCE_DB[tone]


@pytest.mark.parametrize("browser", [chromium, firefox])
async def test_a_network_without_udp_is_crossed_by_tcp(server: Serving, tmp_path: Path, browser):
    """ICE-TCP (RFC 6544)."""
    conference = (await server.create())["id"]
    async with phone_in(server, conference) as eve, browser(tmp_path, "ann") as ann:
        await ann.open(await link(server, conference, "Ann"))
        await without_udp(ann)
        await ann.click("Join")
        await asyncio.gather(hears(ann, {EVE}), phone_hears(eve, {ANN}, 20.0))


async def test_the_keypad_opens_the_door(server: Serving, tmp_path: Path):
    conference = (await server.create(pre_actions=asks_for_pin("42#")))["id"]
    async with firefox(tmp_path, "ann") as ann:
        await enters(ann, await link(server, conference, "Ann"))
        await ann.click("Open the keypad")
        await ann.type("42")
        assert "•2" in await ann.text()
        await ann.click("pound")
        await server.until_inside(conference, 1)
        await ann.sees("One person")
        await ann.click("Mute")  # which the keypad would cover


async def test_who_gives_a_wrong_number_is_not_told_that_the_conference_is_over(server: Serving, tmp_path: Path):
    conference = (await server.create(pre_actions=asks_for_pin("42#")))["id"]
    async with chromium(tmp_path, "ann") as ann:
        await enters(ann, await link(server, conference, "Ann"))
        await ann.click("Open the keypad")
        await ann.type("43")
        await ann.click("pound")
        await ann.sees("You were not let in")
        await ann.sees("Join again")


async def test_who_has_no_name_in_his_link_gives_one(server: Serving, tmp_path: Path):
    conference = (await server.create())["id"]
    async with chromium(tmp_path, "ann") as ann:
        await ann.open(await link(server, conference, ""))
        await ann.click("Your name")
        await ann.press("Enter")  # which asks for it
        await ann.type("Ann Baker")
        await ann.press("Enter")
        await server.until_inside(conference, 1)
        await ann.sees("Ann Baker")
        call = next(each for each in (await server.get("/calls"))["result"] if each["conference_id"] == conference)
        assert call["source"]["target_name"] == "Ann Baker"


async def test_a_listener_hears_and_is_not_heard(server: Serving, tmp_path: Path):
    conference = (await server.create())["id"]
    async with phone_in(server, conference) as eve, chromium(tmp_path, "ann") as ann:
        await enters(ann, await link(server, conference, "Ann", role="listener"))
        await hears(ann, {EVE})
        await phone_hears(eve, set())
        assert "Mute" not in await ann.text()


async def test_without_a_microphone_one_can_still_listen(server: Serving, tmp_path: Path):
    conference = (await server.create())["id"]
    async with phone_in(server, conference), chromium(tmp_path, "ann", allowed=False) as ann:
        await ann.open(await link(server, conference, "Ann"))
        await ann.click("Join")
        await ann.sees("The microphone is not allowed")
        await ann.click("Join without a microphone")
        await hears(ann, {EVE})
        await ann.sees("Turn on microphone")


async def test_a_microphone_that_was_refused_for_good_is_told_of_before_anything_is_clicked(
    server: Serving, tmp_path: Path
):
    conference = (await server.create())["id"]
    async with chromium(tmp_path, "ann") as ann:
        await ann.refuse_microphone()
        await ann.open(await link(server, conference, "Ann"))
        await ann.sees("The microphone is not allowed")


async def test_who_is_taken_out_is_told_so_and_does_not_come_back(server: Serving, tmp_path: Path):
    conference = (await server.create())["id"]
    async with chromium(tmp_path, "ann") as ann:
        await enters(ann, await link(server, conference, "Ann"))
        (inside,) = await server.until_inside(conference, 1)
        await server.rest.delete(f"/conferencecalls/{inside}")
        await ann.sees("You were taken out of the conference")


async def test_links_that_open_nothing_say_why(server: Serving, tmp_path: Path):
    conference = (await server.create())["id"]
    valid = await link(server, conference, "Ann")
    async with chromium(tmp_path, "ann") as ann:
        await ann.open(await link(server, conference, "Ann", expiry=1))
        await asyncio.sleep(1.1)
        await ann.reload()
        await ann.sees("This link has expired")
        for cut in (valid[:-6], valid.rpartition("/")[0] + "/"):
            await ann.open(cut)
            await ann.sees("This link does not work")
        await server.rest.delete(f"/conferences/{conference}")
        await ann.open(valid)
        await ann.sees("The conference has ended")


async def test_talk_goes_on_while_the_server_is_away(tmp_path: Path):
    """The engine holds the call; the page says that the server does not answer, and finds it again."""
    async with serving(tmp_path / "data") as server:
        conference = (await server.create())["id"]
        async with phone_in(server, conference) as eve, chromium(tmp_path, "ann") as ann:
            await enters(ann, await link(server, conference, "Ann"))
            await asyncio.gather(hears(ann, {EVE}), phone_hears(eve, {ANN}, 20.0))
            await server.kill()
            await ann.sees("The server is not answering")
            await asyncio.gather(hears(ann, {EVE}), phone_hears(eve, {ANN}))
            await server.start()
            await ann.sees("2 people")
            await asyncio.gather(hears(ann, {EVE}), phone_hears(eve, {ANN}))


async def test_a_media_engine_that_dies_is_followed_by_another_one_and_by_the_pages(tmp_path: Path):
    """Same conferencecalls: the page makes a new connection for its seat, the phone gets a re-INVITE."""
    async with serving(tmp_path / "data") as server:
        conference = (await server.create())["id"]
        async with phone_in(server, conference) as eve, chromium(tmp_path, "ann") as ann:
            await enters(ann, await link(server, conference, "Ann"))
            await asyncio.gather(hears(ann, {EVE}), phone_hears(eve, {ANN}, 20.0))
            before = set(await server.until_inside(conference, 2))
            died = server.engine_pid()
            os.kill(died, signal.SIGKILL)
            await until(lambda: server.engine_pid() != died, "another engine")
            await asyncio.gather(hears(ann, {EVE}), phone_hears(eve, {ANN}, 20.0))
            assert set((await server.conference(conference))["conferencecall_ids"]) == before
