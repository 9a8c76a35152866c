"""The disk is full, or slow: nothing is told that is not written, callers go on talking, and all goes on afterwards."""

import asyncio
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from disk import SmallDisk, mounted
from hearing import hear_each_other, humming, into_room
from serving import UNTIL_S, Serving, is_running, serving_in_here, until

from plenary import server as server_module


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[SmallDisk]:
    monkeypatch.setattr(server_module, "STATISTICS_S", 0.02)  # an engine would soon be thought to hang
    with mounted(tmp_path / "disk") as disk:
        yield disk


async def test_callers_go_on_talking_and_what_waited_is_done_once_there_is_room(disk: SmallDisk):
    async with serving_in_here(disk.path / "data") as (up, server), humming("ann", "bob") as phones:
        rest = server.rest
        await into_room(server, (await server.create())["id"], phones)
        await hear_each_other(*phones)
        engine = up.server.engine.pid
        disk.fill()
        asked = asyncio.create_task(rest.post("/conferences", json={"type": "conference"}))
        await until(up.server.trouble, "the disk is full")
        assert "no room left" in (await rest.get(f"http://{up.config.http}/readyz")).json()["reasons"][0]
        await asyncio.sleep(20 * server_module.STATISTICS_S)
        await hear_each_other(*phones)
        disk.free()
        assert (await asked).status_code == 200
        assert (await rest.get(f"http://{up.config.http}/readyz")).status_code == 200
        assert (up.server.engine.pid, up.server.engine.started) == (engine, 1)


async def test_an_engine_that_can_not_be_written_down_is_told_and_tried_again(
    disk: SmallDisk, capsys: pytest.CaptureFixture[str]
):
    """Without `engine.json` the next server would replace the engine, and all its calls with it."""
    async with serving_in_here(disk.path / "data") as (up, _):
        noted = disk.path / "data" / "engine.json"
        first = up.server.engine.pid
        assert first is not None
        disk.fill()
        os.kill(first, 9)
        await until(lambda: "No space left" in capsys.readouterr().out, "it is told")
        assert up.server.engine.pid not in (None, first)
        assert str(first) in noted.read_text()
        disk.free()
        await until(lambda: str(up.server.engine.pid) in noted.read_text(), "it is written down")


async def test_a_log_that_can_not_be_written_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The line that speech is missing is the first that is lost."""
    monkeypatch.setenv("PATH", "")
    server = Serving(tmp_path / "data")
    with Path("/dev/full").open("ab") as full:
        await server.start(log=full)
    try:
        await server.create()
    finally:
        await server.end()
        await server.rest.aclose()


async def test_sigterm_ends_it_and_says_what_was_not_written(disk: SmallDisk):
    server = Serving(disk.path / "data")
    with (disk.path.parent / "log").open("ab") as log:
        await server.start(log=log)
    engine = server.engine_pid()
    disk.fill()
    asked = asyncio.create_task(server.rest.post("/conferences", json={"type": "conference"}))
    async with asyncio.timeout(5):
        while (await server.rest.get(f"http://{server.http}/readyz")).status_code == 200:
            await asyncio.sleep(0.05)
    assert await server.terminate() == 2
    assert not is_running(engine)
    *_, last = (disk.path.parent / "log").read_text().splitlines()
    assert last.startswith("plenary: The server has ended without writing")
    assert (await asyncio.gather(asked, return_exceptions=True))[0] is not None
    await server.rest.aclose()


async def test_requests_that_were_told_to_come_again_are_not_done_later(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
):
    """The first may be decided already, and wait for the disk. Those behind it wait in a row that has an end."""
    monkeypatch.setattr(server_module, "ASKS_MAX", 3)
    monkeypatch.setattr(server_module, "ASK_S", 0.3)
    async with serving_in_here(disk.path / "data") as (up, server):
        disk.fill()
        answers = [asyncio.create_task(server.rest.post("/conferences", json={"type": "conference", "name": "1"}))]
        await until(up.server.trouble, "the disk is full")
        for name in "234":
            answers.append(
                asyncio.create_task(server.rest.post("/conferences", json={"type": "conference", "name": name}))
            )
        said = [(await answer).json() for answer in answers]
        assert {answer["code"] for answer in said} == {"server_busy"}
        assert sum("Too much" in answer["detail"] for answer in said) == 1
        disk.free()
        monkeypatch.setattr(server_module, "ASK_S", UNTIL_S)
        await server.create(name="5")
        assert {"5"} <= {one["name"] for one in (await server.get("/conferences"))["result"]} <= {"1", "5"}
