"""Chromium and Firefox join by the page, among themselves and with phones: what they hear proves that it works."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from statistics import quantiles

import pytest
from browsers import Page, Wire, without_udp
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
SPEAKING_S = 1.5
"""After this long a page has noticed that somebody speaks who is muted."""
LEAVING_S = 3.0
"""Well below what the server waits for somebody whose media have stopped."""
TABS = 10
"""More than there is to come to."""

HOLD_JOINS = """
() => {
    const own = window.fetch;
    const free = new Promise((resolve) => { window.letJoinsThrough = resolve; });
    window.fetch = async (path, request) => {
        const response = await own(path, request);
        if (request.method === "POST" && new URL(path, location).pathname.endsWith("/join")) await free;
        return response;
    };
}
"""
"""The server lets him in, and its answer takes as long as the test wants."""
UNPLUG = """
() => {
    navigator.mediaDevices.enumerateDevices = async () => [];
    navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", "NotFoundError"); };
    navigator.mediaDevices.dispatchEvent(new Event("devicechange"));
}
"""
ASKED_FOR_FIGURES = """
() => performance.getEntriesByType("resource").some((each) => each.name.endsWith("/quality"))
"""
COVERED = """
() => [...document.querySelectorAll("button, input, select")].filter((e) => {
    e.scrollIntoView({ block: "nearest" });
    const { left, right, top, bottom } = e.getBoundingClientRect();
    const points = [[(left + right) / 2, top + 2], [(left + right) / 2, bottom - 2], [left + 2, (top + bottom) / 2]];
    return !points.every(([x, y]) => e.contains(document.elementFromPoint(x, y)));
}).map((e) => e.textContent)
"""
"""Controls of which a part stays hidden wherever the page is scrolled to."""
OVERLAPPING = """
() => {
    const pairs = (parts) => parts.flatMap((one, at) => parts.slice(at + 1).map((other) => [one, other]));
    const [hall] = document.getElementsByClassName("hall");
    const within = getComputedStyle(hall).overflowY === "visible" && hall.scrollHeight > hall.clientHeight + 1;
    return [...pairs([...hall.parentElement.children]), ...pairs([...hall.children])].filter(([one, other]) => {
        const [a, b] = [one.getBoundingClientRect(), other.getBoundingClientRect()];
        return Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
    }).map((pair) => pair.map((e) => e.className)).concat(within ? [["hall", "what is in it"]] : []);
}
"""
"""Parts of the room that lie on each other."""
SEATED = """
() => !document.getAnimations().some((each) => each instanceof CSSTransition && each.effect.target.matches(".seat"))
"""
"""Nobody is on the way from one place to another."""
SEATS_COVERED = """
() => [...document.querySelectorAll(".seat .disc")].filter((disc) => {
    const { x, y, width, height } = disc.getBoundingClientRect();
    return [...Array(16).keys()].some((at) => {
        const [right, down] = [Math.cos((at * Math.PI) / 8), Math.sin((at * Math.PI) / 8)];
        const upon = document.elementFromPoint(x + width * (0.5 + 0.45 * right), y + height * (0.5 + 0.45 * down));
        return upon !== disc;
    });
}).map((e) => e.parentElement.textContent)
"""
"""Seats that something of another one lies upon, looked at near their edges."""
FOCUSED = """
async () => {
    await new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(shown)));
    const e = document.activeElement;
    const { left, right, top, bottom } = e.getBoundingClientRect();
    const whole = top >= -1 && left >= -1 && bottom <= innerHeight + 1 && right <= innerWidth + 1;
    return [(e.closest("label")?.querySelector("span") ?? e).textContent.trim(), e === document.body || whole];
}
"""


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


async def test_who_leaves_before_the_server_has_answered_is_out_and_his_seat_is_free(server: Serving, tmp_path: Path):
    """His link has one seat: coming again must wait until he has left."""
    conference = (await server.create())["id"]
    async with chromium(tmp_path, "ann") as ann:
        await enters(ann, await link(server, conference, "Ann", seats=1))
        before = await server.until_inside(conference, 1)
        await ann.before_each_page(HOLD_JOINS)
        await ann.reload()
        await ann.click("Leave")
        await ann.sees("You have left")
        await ann.click("Join again")
        await ann.sees("Asking for a seat")
        await ann.script("() => letJoinsThrough()")
        await ann.sees("Leave")
        assert await server.until_inside(conference, 1) != before
        await ann.reload()
        await ann.click("Leave")
        await ann.script("() => letJoinsThrough()")
        async with asyncio.timeout(LEAVING_S):
            await server.until_inside(conference, 0)


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


async def test_who_refuses_the_microphone_can_still_listen(server: Serving, tmp_path: Path):
    conference = (await server.create())["id"]
    async with phone_in(server, conference) as eve, chromium(tmp_path, "ann", allowed=False) as ann:
        await ann.open(await link(server, conference, "Ann"))
        await ann.click("Join")
        await ann.sees("The microphone is not allowed")
        assert "Join without a microphone" not in await ann.text()
        await ann.click("Join and only listen")
        await hears(ann, {EVE})
        await phone_hears(eve, set())
        # That is what was chosen: nobody need be told of it.
        assert "not allowed" not in await ann.text()
        await ann.click("Turn on microphone")
        await ann.sees("The microphone is not allowed")


async def test_who_has_allowed_the_microphone_can_still_leave_it_out(server: Serving, tmp_path: Path):
    conference = (await server.create())["id"]
    async with phone_in(server, conference) as eve, chromium(tmp_path, "ann") as ann:
        await ann.open(await link(server, conference, "Ann"))
        await ann.click("Join without a microphone")
        await hears(ann, {EVE})
        await phone_hears(eve, set())
        await ann.sees("Turn on microphone")


async def test_a_microphone_that_was_refused_for_good_is_told_of_before_anything_is_clicked(
    server: Serving, tmp_path: Path
):
    """And no more when it is allowed after all."""
    conference = (await server.create())["id"]
    async with chromium(tmp_path, "ann") as ann:
        await ann.refuse_microphone()
        await ann.open(await link(server, conference, "Ann"))
        await ann.sees("The microphone is not allowed")
        await ann.sees("Join and only listen")
        await ann.refuse_microphone(False)
        await ann.sees("Join without a microphone")
        assert "not allowed" not in await ann.text()


async def test_a_machine_without_a_microphone_is_told_of_before_anything_is_clicked(server: Serving, tmp_path: Path):
    conference = (await server.create())["id"]
    async with chromium(tmp_path, "ann", allowed=False) as ann:
        await ann.open(await link(server, conference, "Ann"))
        await ann.sees("Join without a microphone")
        await ann.script(UNPLUG)
        await ann.sees("No microphone found")
        await ann.click("Join and only listen")
        await ann.sees("Leave")


async def test_figures_are_asked_for_when_there_are_some_and_given_up_when_there_are_none(
    server: Serving, tmp_path: Path
):
    """A refusal would stand as an error in the browser's console. The phone sends no RTCP: its delay stays unknown."""
    conference = (await server.create())["id"]
    async with phone_in(server, conference), chromium(tmp_path, "ann") as ann:
        await enters(ann, await link(server, conference, "Ann"))
        await ann.until(ASKED_FOR_FIGURES)
        await ann.reload()
        await ann.until(ASKED_FOR_FIGURES)
        await ann.click("Connection")
        await ann.sees("Opus, 48 kHz")
        await ann.sees("not measured yet")
        await ann.sees("can't be measured", timeout_s=30.0)
        assert "not measured yet" not in await ann.text()
        assert ann.errors == []


@pytest.mark.parametrize("screen", [(390, 844), (844, 390), (320, 568), (1280, 800)])
async def test_at_the_door_nothing_lies_upon_a_control_and_keys_reach_all(server: Serving, tmp_path: Path, screen):
    conference = (await server.create(name="Autumn plenary of the housing cooperative"))["id"]
    async with chromium(tmp_path, "ann") as ann:
        await ann.refuse_microphone()
        await ann.resize(*screen)
        await ann.open(await link(server, conference, ""))
        await ann.sees("Join and only listen")
        assert await ann.script(COVERED) == []
        await ann.script("() => scrollTo(0, 0)")
        names = ["Your name", "Turn on microphone", "Test sound", "Join and only listen"]
        assert set(names) <= set(await tabbed(ann))
        assert await ann.script("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("window", [(1100, 657), (1024, 640), (1366, 768)])
async def test_the_lobby_is_seen_as_a_whole_in_the_windows_of_laptops(server: Serving, tmp_path: Path, window):
    """With all that it can have: a field for the name, a microphone that is on, somebody inside."""
    conference = (await server.create(name="Autumn plenary of the housing cooperative"))["id"]
    async with phone_in(server, conference), chromium(tmp_path, "ann") as ann:
        await ann.resize(*window)
        await ann.open(await link(server, conference, ""))
        await ann.sees("is inside")
        await ann.sees("we can hear you")
        assert await ann.script("() => document.documentElement.scrollHeight <= innerHeight")
        assert await ann.script(COVERED) == []
        await ann.until(SEATED)
        assert await ann.script(SEATS_COVERED) == []


@pytest.mark.parametrize("screen", [(390, 844), (844, 390), (320, 568), (1024, 640), (1100, 657), (1280, 800)])
async def test_in_the_room_there_is_one_banner_and_nothing_below_it(server: Serving, tmp_path: Path, screen):
    """He is muted by a moderator, and speaks."""
    conference = (await server.create(name="Autumn plenary of the housing cooperative"))["id"]
    async with chromium(tmp_path, "ann") as ann:
        await ann.resize(*screen)
        await enters(ann, await link(server, conference, "Ann"))
        (inside,) = await server.until_inside(conference, 1)
        await ann.sees("One person")
        await server.rest.post(f"/conferencecalls/{inside}/mute")
        await ann.sees("A moderator has muted you")
        await asyncio.sleep(SPEAKING_S)
        assert await ann.script("() => document.querySelectorAll('.banner, .trouble').length") == 1
        assert await ann.script(COVERED) == []
        assert await ann.script(OVERLAPPING) == []
        assert await ann.script("() => document.documentElement.scrollHeight <= innerHeight")
        assert {"Unmute", "Keypad", "Sound", "Leave"} <= set(await tabbed(ann))


async def tabbed(page: Page) -> list[str]:
    """What the Tab key comes to, by name; each is wholly to be seen while it has the focus."""
    names: list[str] = []
    for _ in range(TABS):
        await page.press("Tab")
        name, whole = await page.script(FOCUSED)
        assert whole, f"{name!r} is not to be seen"
        names.append(name)
    return names


async def test_who_is_taken_out_is_told_so_and_does_not_come_back(server: Serving, tmp_path: Path):
    conference = (await server.create())["id"]
    async with chromium(tmp_path, "ann") as ann:
        await enters(ann, await link(server, conference, "Ann"))
        (inside,) = await server.until_inside(conference, 1)
        await server.rest.delete(f"/conferencecalls/{inside}")
        await ann.sees("You were taken out of the conference")
        # Nor is a screen reader told of anything else: not of what was so while he was in.
        assert (await ann.text()).split("\n\n") == [
            "Plenary", "You were taken out of the conference", "Someone who runs it has ended your call."
        ]  # fmt: skip


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
