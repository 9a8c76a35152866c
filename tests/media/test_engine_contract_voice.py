"""What the server relies on, of both engines: mute, processing, codecs, rates of recordings, encryption, browsers."""

import asyncio
import wave
from pathlib import Path

import msgspec
import pytest
from engines import Engine, browser_offer, native, offer, open_leg, talking

from plenary.media import messages as wire
from plenary.testing.engine import EngineClient, engine_client
from plenary.testing.rtp import FRAME_S

HEADER_BYTES = 44
"""Of a WAV file, before its sound."""
PATIENCE_S = 10.0


async def snapshot_of(socket: Path, leg: str) -> wire.LegSnapshot:
    """What a server is told that comes next."""
    async with engine_client(socket) as client:
        assert client.welcome is not None
        return next(one for one in client.welcome.snapshot.legs if one.leg == leg)


def failed(client: EngineClient) -> list[tuple[str, str]]:
    return [(event.command, event.subject) for event in client.events if isinstance(event, wire.CommandFailed)]


async def test_a_leg_is_muted_until_it_is_not_and_the_next_server_is_told(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket:
        async with engine_client(socket) as client:
            await open_leg(client, "a")
            client.send(wire.SetMuted(leg="a", muted=True), wire.SetMuted(leg="a", muted=True))
            await client.caught_up()
            assert failed(client) == []
        assert (await snapshot_of(socket, "a")).muted
        async with engine_client(socket) as client:
            client.send(wire.SetMuted(leg="a", muted=False))
            await client.caught_up()
        assert not (await snapshot_of(socket, "a")).muted


async def test_a_new_leg_is_not_muted(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket:
        async with engine_client(socket) as client:
            await open_leg(client, "a")
        assert not (await snapshot_of(socket, "a")).muted


@pytest.mark.parametrize(
    "command",
    [wire.SetMuted(leg="x", muted=True), wire.SetProcessing(leg="x", noise_suppression=True, normaliser=False)],
    ids=["set_muted", "set_processing"],
)
async def test_what_is_not_there_can_not_be_changed(engine: Engine, tmp_path: Path, command: wire.Command):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        client.send(command)
        await client.caught_up()
        assert [subject for _, subject in failed(client)] == ["x"]


async def test_processing_is_as_it_was_told_last(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        await open_leg(client, "a", noise_suppression=True)
        await open_leg(client, "b")
        await open_leg(client, "c", voice_activity=False, limiter=False)
        client.send(wire.SetProcessing(leg="b", noise_suppression=False, normaliser=True, limiter=False))
        client.send(wire.GetStats(request="now"))
        stats = await client.expect(wire.Stats, request="now")
        figures = {
            leg.leg: (leg.noise_suppression, leg.normaliser, leg.voice_activity, leg.limiter) for leg in stats.legs
        }
        assert figures == {
            "a": (True, False, True, True),
            "b": (False, True, True, False),
            "c": (False, False, False, False),
        }


async def test_a_server_that_knows_fewer_switches_leaves_the_others_as_they_begin(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        await open_leg(client, "a", voice_activity=False, limiter=False)
        # What it leaves out is not on the wire.
        old = msgspec.defstruct(
            "SetProcessing",
            [("leg", str), ("noise_suppression", bool), ("normaliser", bool)],
            bases=(wire.Message,),
            frozen=True,
            kw_only=True,
        )
        client.send(old(leg="a", noise_suppression=True, normaliser=False))
        client.send(wire.GetStats(request="now"))
        (leg,) = (await client.expect(wire.Stats, request="now")).legs
        assert (leg.noise_suppression, leg.voice_activity, leg.limiter) == (True, True, True)


async def test_the_codec_is_one_that_both_sides_have(engine: Engine, tmp_path: Path):
    both = offer(formats="9 0 101").replace("a=rtpmap:101", "a=rtpmap:9 G722/8000\r\na=rtpmap:101")
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        answer = await open_leg(client, "a", both, codecs=["PCMU", "PCMA"])
        assert " 9" not in next(line for line in answer.sdp.splitlines() if line.startswith("m=audio"))
        client.send(wire.OpenLeg(leg="b", sdp=both, codecs=["opus"]))
        assert (await client.expect(wire.LegRefused, leg="b")).reason == "no_common_codec"


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
async def test_a_recording_has_the_rate_that_was_asked_for(engine: Engine, tmp_path: Path, rate: int):
    path = tmp_path / "recording.wav"
    async with engine(tmp_path / "data") as socket, engine_client(socket) as client, talking(client, "a"):
        client.send(wire.StartRecording(recording="r", leg="a", path=str(path), rate=rate))
        await client.expect(wire.RecordingStarted, recording="r")
        async with asyncio.timeout(PATIENCE_S):
            while engine is native and not (path.exists() and path.stat().st_size > HEADER_BYTES):
                await asyncio.sleep(FRAME_S)
        client.send(wire.StopRecording(recording="r"))
        await client.expect(wire.RecordingEnded, recording="r")
    if engine is native:  # the fake one writes no files
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnframes() > 0) == (rate, True)


ENCRYPTED = offer().replace("RTP/AVP", "RTP/SAVP") + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{'A' * 40}\r\n"


@pytest.mark.parametrize(
    ("srtp", "sdp", "reason"),
    [("required", offer(), "encryption_required"), ("never", ENCRYPTED, "encryption_refused")],
)
async def test_a_policy_of_encryption_refuses_who_does_not_keep_to_it(
    engine: Engine, tmp_path: Path, srtp: wire.Encryption, sdp: str, reason: str
):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        client.send(wire.OpenLeg(leg="a", sdp=sdp, srtp=srtp))
        assert (await client.expect(wire.LegRefused, leg="a")).reason == reason


@pytest.mark.parametrize("srtp", ["optional", "required"])
async def test_a_phone_that_offers_keys_gets_one(engine: Engine, tmp_path: Path, srtp: wire.Encryption):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        answer = await open_leg(client, "a", ENCRYPTED, srtp=srtp)
        assert "RTP/SAVP" in answer.sdp
        assert "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" in answer.sdp


async def test_a_browser_is_answered_by_an_ice_lite_peer(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        answer = await open_leg(client, "a", browser_offer(), transport="webrtc")
        lines = answer.sdp.splitlines()
        assert "a=ice-lite" in lines
        for name in ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:sha-256 ", "a=candidate:", "a=mid:0", "a=rtcp-mux"):
            assert any(line.startswith(name) for line in lines), name
        assert answer.direction == "sendrecv"


async def test_an_ice_restart_and_a_new_peer_are_answered_on_the_same_leg(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        await open_leg(client, "a", browser_offer(), transport="webrtc")
        client.send(wire.OpenRoom(room="r"), wire.Join(leg="a", room="r"))
        await client.expect(wire.LegJoined, leg="a")
        for sdp in (browser_offer(ufrag="next"), browser_offer(ufrag="anew", fingerprint="CD")):
            client.send(wire.ApplySdp(leg="a", kind="offer", sdp=sdp))
            await client.expect(wire.LegAnswered, leg="a")
    assert failed(client) == []


@pytest.mark.parametrize(
    "sdp",
    [offer(), browser_offer().replace("a=fingerprint", "a=x"), browser_offer().replace("a=ice-ufrag", "a=x")],
    ids=["a phone's", "no certificate", "no ice"],
)
async def test_what_is_no_browsers_offer_is_malformed(engine: Engine, tmp_path: Path, sdp: str):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        client.send(wire.OpenLeg(leg="a", sdp=sdp, transport="webrtc"))
        assert (await client.expect(wire.LegRefused, leg="a")).reason == "malformed_sdp"
        await client.caught_up()
        assert not [event for event in client.events if isinstance(event, wire.LegAnswered)]
