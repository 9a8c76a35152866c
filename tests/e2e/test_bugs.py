"""What docs/decisions/bugs-end-the-server.md says."""

import os
from pathlib import Path

import pytest
from hearing import hear_each_other, humming, into_room
from serving import is_running, serving_in_here

from plenary.store.errors import FolderUnusable
from plenary.testing.phone import CallRefused

UNKNOWN = "00000000-0000-4000-8000-000000000404"


async def test_a_bug_ends_the_server_and_callers_go_on_talking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise AssertionError("a bug")

    async with humming("ann", "bob") as phones:
        engine = None
        with pytest.raises(AssertionError, match="a bug"):  # noqa: PT012
            async with serving_in_here(tmp_path / "data") as (up, server):
                await into_room(server, (await server.create())["id"], phones)
                engine = up.server.engine.pid
                monkeypatch.setattr(up.server.node, "turn", broken)
                await up.failed()
        assert engine is not None
        assert is_running(engine)
        await hear_each_other(*phones)
        os.kill(engine, 15)


async def test_a_disk_that_can_not_be_read_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unreadable(*_: object) -> None:
        raise FolderUnusable("The disk fails.")

    async with humming("ann") as (ann,), serving_in_here(tmp_path / "data") as (up, server):
        monkeypatch.setattr(up.server.node, "_stored", unreadable)
        answer = await server.rest.delete(f"/conferences/{UNKNOWN}")
        assert (answer.status_code, answer.json()["detail"]) == (503, "The disk fails.")
        with pytest.raises(CallRefused, match="503"):
            await ann.call(f"sip:{UNKNOWN}@{server.sip}")
        await server.create()
