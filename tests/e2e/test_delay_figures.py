"""Where the time goes, as the API and `/metrics` tell of real calls: a browser, a phone with RTCP, a phone without."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from baresip import PORTS, Baresip, is_installed, write_wav
from hearing import humming
from joining import chromium, enters, link
from serving import Serving

from plenary.testing.tones import tone
from ports import free_ports

pytestmark = pytest.mark.skipif(not is_installed(), reason="baresip is not installed")

STAGES = ("network", "jitter_buffer", "tick_wait", "mix", "encode", "send")
SUMS = ("speaking", "listening")
KNOWN_S = 20.0
"""Reports of RTCP come every five seconds (RFC 3550 section 6.2), and a round trip takes one of each side."""


async def told(server: Serving, conference: str, transport: str, codec: str, missing: set[str]) -> dict[str, Any]:
    """The figures of the participant with this transport and codec, once none but `missing` is null."""
    one: dict[str, Any] = {}
    try:
        async with asyncio.timeout(KNOWN_S):
            while True:
                room = await server.get(f"/conferences/{conference}/quality")
                known = [
                    each for each in room["participants"] if (each["transport"], each["codec"]) == (transport, codec)
                ]
                one = known[0] if known else {}
                if one and {stage for stage in (*STAGES, *SUMS) if one["delay"][f"{stage}_ms"] is None} == missing:
                    return one
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"not only {missing} is unknown: {one}") from None


async def test_each_stage_is_told_of_each_call_and_null_where_nobody_can_know(server: Serving, tmp_path: Path):
    """Who sends no RTCP has no round trip, and no sums that it would be in."""
    conference = (await server.create())["id"]
    says = write_wav(tmp_path / "bob.wav", tone(650, 1.0), times=60)
    async with (
        humming("eve") as (eve,),
        Baresip("bob", tmp_path / "bob", says, free_ports(PORTS), "PCMA") as bob,
        chromium(tmp_path, "ann") as ann,
    ):
        await eve.call(f"sip:{conference}@{server.sip}")
        await bob.dial(f"sip:{conference}@{server.sip}")
        await enters(ann, await link(server, conference, "Ann"))
        for codec, transport, missing in (
            ("opus", "webrtc", set()),
            ("PCMA", "rtp", set()),
            ("PCMU", "rtp", {"network", *SUMS}),
        ):
            delay = (await told(server, conference, transport, codec, missing))["delay"]
            assert all(0 <= delay[f"{stage}_ms"] < 500 for stage in (*STAGES, *SUMS) if stage not in missing)
        room = await server.until_is(f"/conferences/{conference}/quality", mos=lambda score: score is not None)
        assert 20 < room["mouth_to_ear_ms"] <= room["mouth_to_ear_worst_ms"] < 500
        assert room["mos_model"] == "G.107.2"
        metrics = (await server.rest.get(f"http://{server.http}/metrics")).text
        counted = dict(re.findall(r'plenary_call_delay_seconds_count\{stage="(\w+)"\} (\S+)', metrics))
        assert {stage for stage in (*STAGES, *SUMS) if float(counted[stage]) >= 2} == {*STAGES, *SUMS}
        assert float(counted["network"]) < float(counted["tick_wait"])
        assert 'plenary_mouth_to_ear_seconds_bucket{le="+Inf"}' in metrics
