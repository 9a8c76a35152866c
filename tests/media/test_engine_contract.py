"""What the server relies on, of the fake engine and of the native one: the same tests for both, over the socket."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from engines import Engine, media_port, offer, open_leg, talking

from plenary.media import messages as wire
from plenary.testing.engine import EngineClient, engine_client


async def test_a_new_engine_welcomes_with_an_empty_snapshot_and_no_events(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        assert client.welcome is not None
        assert client.welcome.version == wire.PROTOCOL_VERSION
        assert client.welcome.engine != ""
        assert client.welcome.snapshot == wire.Snapshot()
        assert client.welcome.last_seq == 0


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")],
)
async def test_an_answer_mirrors_the_direction_of_the_offer(engine: Engine, tmp_path: Path, theirs: str, ours: str):
    """RFC 3264 section 6.1."""
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        answered = await open_leg(client, "ann", offer(direction=theirs))
        assert answered.direction == ours
        assert f"a={ours}" in answered.sdp.splitlines() or ours == "sendrecv"


async def test_an_answer_has_one_m_line_for_each_of_the_offer(engine: Engine, tmp_path: Path):
    """RFC 3264 section 6: what is not wanted is answered with port 0."""
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        sdp = offer() + "m=video 40002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"
        answered = await open_leg(client, "ann", sdp)
        media = [line.split()[:2] for line in answered.sdp.splitlines() if line.startswith("m=")]
        assert [kind for kind, _ in media] == ["m=audio", "m=video"]
        assert media[0][1] != "0"
        assert media[1][1] == "0"


@pytest.mark.parametrize(
    ("sdp", "reason"),
    [
        ("", "malformed_sdp"),
        ("INVITE sip:a@b SIP/2.0\r\n", "malformed_sdp"),
        (offer().replace("m=audio 40000", "m=audio many"), "malformed_sdp"),
        (offer(formats="18"), "no_common_codec"),
        (offer(formats="101"), "no_common_codec"),
    ],
)
async def test_an_offer_that_cannot_be_answered_is_refused_with_the_reason(
    engine: Engine, tmp_path: Path, sdp: str, reason: str
):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        client.send(wire.OpenLeg(leg="ann", sdp=sdp))
        assert (await client.expect(wire.LegRefused, leg="ann")).reason == reason
        await client.caught_up()
        async with engine_client(socket) as other:
            assert other.welcome is not None
            assert other.welcome.snapshot.legs == []


async def test_a_leg_without_an_offer_makes_one_and_takes_the_answer(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        client.send(wire.OpenLeg(leg="ann"))
        offered = await client.expect(wire.LegOffered, leg="ann")
        assert offered.sdp.startswith("v=0\r\n")
        client.send(wire.ApplySdp(leg="ann", kind="answer", sdp=offer(formats="8 101")))
        assert (await client.expect(wire.LegApplied, leg="ann")).direction == "sendrecv"


async def test_a_leg_that_is_opened_once_more_is_answered_once_more(engine: Engine, tmp_path: Path):
    """A server that has not seen the answer says it again, and nothing is lost."""
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        first = await open_leg(client, "ann")
        client.send(wire.OpenLeg(leg="ann", sdp=offer()))
        assert media_port((await client.expect(wire.LegAnswered, leg="ann")).sdp) == media_port(first.sdp)
        client.send(wire.OpenLeg(leg="bob"))
        await client.expect(wire.LegOffered, leg="bob")
        client.send(wire.OpenLeg(leg="bob"))
        await client.expect(wire.LegOffered, leg="bob")


async def test_a_new_offer_of_the_peer_holds_and_resumes(engine: Engine, tmp_path: Path):
    """RFC 3264 section 8.4."""
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        first = await open_leg(client, "ann")
        for theirs, ours in [("sendonly", "recvonly"), ("sendrecv", "sendrecv")]:
            client.send(wire.ApplySdp(leg="ann", kind="offer", sdp=offer(direction=theirs)))
            again = await client.expect(wire.LegAnswered, leg="ann")
            assert again.direction == ours
            assert media_port(again.sdp) == media_port(first.sdp)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (wire.ApplySdp(leg="ann", kind="answer", sdp=offer()), "wrong_state"),
        (wire.ApplySdp(leg="ann", kind="offer", sdp="nonsense"), "malformed_sdp"),
        (wire.ApplySdp(leg="bob", kind="offer", sdp=offer()), "unknown_leg"),
        (wire.OfferLeg(leg="bob"), "unknown_leg"),
    ],
    ids=["answer without an offer", "malformed", "unknown leg", "offer of an unknown leg"],
)
async def test_a_refused_change_leaves_the_leg_as_it_was(
    engine: Engine, tmp_path: Path, command: wire.Command, reason: str
):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        await open_leg(client, "ann")
        client.send(command)
        assert (await client.expect(wire.LegRefused)).reason == reason
        async with engine_client(socket) as other:
            assert other.welcome is not None
            assert [(leg.leg, leg.direction, leg.negotiated) for leg in other.welcome.snapshot.legs] == [
                ("ann", "sendrecv", True)
            ]


async def test_a_leg_joins_and_is_seen_in_the_snapshot_and_leaves(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        await open_leg(client, "ann")
        client.send(wire.OpenRoom(room="hall"), wire.Join(leg="ann", room="hall"))
        await client.expect(wire.LegJoined, leg="ann", room="hall")
        client.send(wire.Join(leg="ann", room="hall"))
        await client.expect(wire.LegJoined, leg="ann", room="hall")
        client.send(wire.OpenRoom(room="hall"), wire.SetGain(room="hall", listener="ann", gain=0.5))
        assert await rooms_of_legs(client) == {"ann": "hall"}
        client.send(wire.Leave(leg="ann"), wire.Leave(leg="ann"))
        assert await rooms_of_legs(client) == {"ann": None}
        client.send(wire.Join(leg="ann", room="hall"), wire.CloseRoom(room="hall"))
        assert await rooms_of_legs(client) == {"ann": None}
        assert failures(client) == []


async def rooms_of_legs(client: EngineClient) -> dict[str, str | None]:
    client.send(wire.GetStats(request="rooms"))
    return {leg.leg: leg.room for leg in (await client.expect(wire.Stats, request="rooms")).legs}


def failures(client: EngineClient) -> list[str]:
    return [event.command for event in client.events if isinstance(event, wire.CommandFailed)]


async def test_a_closed_leg_is_gone_from_its_room_and_its_plays_end(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        await open_leg(client, "ann")
        tone = wire.Tone(frequency_hz=440, duration_ms=60_000, level_dbfs=-16)
        client.send(
            wire.OpenRoom(room="hall"),
            wire.Join(leg="ann", room="hall"),
            wire.Play(leg="ann", play="one", tone=tone),
            wire.Play(leg="ann", play="two", tone=tone),
        )
        client.send(wire.CloseLeg(leg="ann"))
        closed = await client.expect(wire.LegClosed, leg="ann")
        assert closed.stats.leg == "ann"
        for play in ("one", "two"):
            assert (await client.expect(wire.PlayEnded, play=play)).reason == "leg_closed"
        assert await rooms_of_legs(client) == {}


async def test_legs_that_come_while_others_go_in_one_batch_are_whole(engine: Engine, tmp_path: Path):
    """And what the others held is given back: in the end there were more legs than the engine has ports."""
    legs, rounds = range(15), range(6)
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        client.send(wire.OpenRoom(room="hall"))
        for now in rounds:
            batch: list[wire.Command] = []
            for leg in legs:
                if now > 0:
                    batch.append(wire.CloseLeg(leg=f"{leg} of {now - 1}"))
                batch.append(wire.OpenLeg(leg=f"{leg} of {now}", sdp=offer(), room_hint="hall"))
            client.send(*batch)
            client.send(*[wire.Join(leg=f"{leg} of {now}", room="hall") for leg in legs])
            assert await rooms_of_legs(client) == {f"{leg} of {now}": "hall" for leg in legs}
        kinds = [type(event) for event in client.events]
        assert kinds.count(wire.LegJoined) == len(legs) * len(rounds)
        assert kinds.count(wire.LegClosed) == len(legs) * (len(rounds) - 1)
        assert wire.LegRefused not in kinds
        assert wire.CommandFailed not in kinds


@pytest.mark.parametrize(
    "command",
    [
        wire.Join(leg="nobody", room="hall"),
        wire.Join(leg="ann", room="nowhere"),
        wire.SetGain(room="nowhere", listener="ann", gain=1),
        wire.SetGain(room="hall", listener="ann", gain=5),
        wire.SetGain(room="hall", listener="ann", gain=1),
        wire.StartRecording(recording="r", room="hall", leg="ann", path="/nonexistent/r.wav"),
        wire.Play(leg="ann", play="p"),
        wire.SendDigits(leg="nobody", digits="1"),
        wire.OpenLeg(leg="x" * 65, sdp=offer()),
    ],
    ids=lambda command: type(command).__name__,
)
async def test_a_command_that_makes_no_sense_fails_by_name_and_changes_nothing(
    engine: Engine, tmp_path: Path, command: wire.Command
):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        await open_leg(client, "ann")
        client.send(wire.OpenRoom(room="hall"))
        client.send(command)
        failed = await client.expect(wire.CommandFailed)
        assert failed.command in (type(command).__struct_config__.tag, "unknown")
        assert failed.reason != ""
        assert await rooms_of_legs(client) == {"ann": None}


async def test_what_is_to_end_and_is_not_there_has_ended(engine: Engine, tmp_path: Path):
    """It was refused, or its end is on its way: nothing that a server would have to hear of."""
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        client.send(wire.OpenLeg(leg="ann", sdp="nonsense"))
        client.send(
            *[ending for leg in ("ann", "nobody") for ending in (wire.Leave(leg=leg), wire.CloseLeg(leg=leg))],
            wire.StopPlay(leg="ann", play="what"),
            wire.CloseRoom(room="nowhere"),
            wire.StopRecording(recording="what"),
        )
        await client.caught_up()
        assert [type(event) for event in client.events] == [wire.LegRefused]


async def test_a_recording_that_runs_is_not_started_again(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client, talking(client, "ann"):
        start = wire.StartRecording(recording="r", leg="ann", path=str(tmp_path / "r.wav"))
        client.send(start, start)
        await client.expect(wire.RecordingStarted, recording="r")
        client.send(start, wire.StopRecording(recording="r"))
        await client.expect(wire.RecordingEnded, recording="r", reason="stopped")
        await client.caught_up()
        assert [event for event in client.events if isinstance(event, wire.CommandFailed | wire.RecordingEnded)] == []


@pytest.mark.parametrize(
    "body",
    [b"\x92\xff", b"\xc1", b"", msgspec.msgpack.encode({"type": "ack"}), msgspec.msgpack.encode([7, None, "x"])],
    ids=["cut", "never used", "empty", "no array", "no maps"],
)
async def test_a_malformed_frame_is_reported_and_the_next_one_is_heard(engine: Engine, tmp_path: Path, body: bytes):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        client.send_bytes(len(body).to_bytes(4, "big") + body)
        await client.expect(wire.CommandFailed)
        await open_leg(client, "ann")


async def test_an_unknown_message_is_reported_and_the_engine_goes_on(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        body = msgspec.msgpack.encode([{"type": "make_coffee"}])
        client.send_bytes(len(body).to_bytes(4, "big") + body)
        await client.expect(wire.CommandFailed)
        await open_leg(client, "ann")


async def test_a_frame_beyond_the_limit_costs_the_connection_not_the_engine(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket:
        async with engine_client(socket) as client:
            client.send_bytes((wire.FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
            with pytest.raises(AssertionError, match="closed"):
                await client.expect(wire.LegJoined)
        async with engine_client(socket) as client:
            await open_leg(client, "ann")


async def test_plays_follow_each_other_and_end_when_they_are_through(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        await open_leg(client, "ann")
        client.send(
            wire.LoadPrompt(prompt="short", pcm=bytes(2 * 8 * 60)),
            wire.Play(leg="ann", play="one", prompt="short"),
            wire.Play(leg="ann", play="two", tone=wire.Tone(frequency_hz=440, duration_ms=60, level_dbfs=-16)),
            wire.Play(leg="ann", play="ever", prompt="short", loop=True),
            wire.Play(leg="ann", play="what", prompt="unknown"),
            wire.Play(leg="nobody", play="whom", prompt="short"),
        )
        assert (await client.expect(wire.PlayEnded, play="what")).reason == "unknown_prompt"
        assert (await client.expect(wire.PlayEnded, play="whom")).reason == "leg_closed"
        one = await client.expect(wire.PlayEnded, play="one")
        two = await client.expect(wire.PlayEnded, play="two")
        assert (one.reason, two.reason) == ("finished", "finished")
        assert one.seq < two.seq
        await asyncio.sleep(0.1)
        client.send(wire.StopPlay(leg="ann", play="ever"), wire.StopPlay(leg="ann", play="ever"))
        assert (await client.expect(wire.PlayEnded, play="ever")).reason == "stopped"


async def test_a_play_that_waits_can_be_stopped_and_the_first_goes_on(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        await open_leg(client, "ann")
        client.send(
            wire.Play(leg="ann", play="one", tone=wire.Tone(frequency_hz=440, duration_ms=80, level_dbfs=-16)),
            wire.Play(leg="ann", play="two", tone=wire.Tone(frequency_hz=440, duration_ms=80, level_dbfs=-16)),
            wire.StopPlay(leg="ann", play="two"),
        )
        assert (await client.expect(wire.PlayEnded, play="two")).reason == "stopped"
        assert (await client.expect(wire.PlayEnded, play="one")).reason == "finished"


async def test_a_recording_waits_for_somebody_who_says_something_and_ends_at_its_limit(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client, talking(client, "ann"):
        client.send(
            wire.OpenRoom(room="hall"),
            wire.StartRecording(recording="r", room="hall", path=str(tmp_path / "r.wav"), max_duration_ms=200),
        )
        await client.caught_up()
        assert [event for event in client.events if isinstance(event, wire.RecordingStarted)] == []
        client.send(wire.Join(leg="ann", room="hall"))
        await client.expect(wire.RecordingStarted, recording="r")
        ended = await client.expect(wire.RecordingEnded, recording="r")
        assert ended.reason == "duration"
        assert ended.duration_ms == 200
        assert ended.bytes == 44 + 200 * 16


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (wire.StopRecording(recording="r"), "stopped"),
        (wire.CloseRoom(room="hall"), "room_closed"),
        (wire.Shutdown(), "shutdown"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_recording_says_why_it_ended(engine: Engine, tmp_path: Path, command: wire.Command, reason: str):
    async with engine(tmp_path) as socket, engine_client(socket) as client, talking(client, "ann"):
        client.send(
            wire.OpenRoom(room="hall"),
            wire.Join(leg="ann", room="hall"),
            wire.StartRecording(recording="r", room="hall", path=str(tmp_path / "r.wav")),
        )
        await client.expect(wire.RecordingStarted, recording="r")
        client.send(command)
        assert (await client.expect(wire.RecordingEnded, recording="r")).reason == reason


async def test_a_recording_of_a_leg_ends_with_the_leg(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client, talking(client, "ann"):
        client.send(wire.StartRecording(recording="r", leg="ann", path=str(tmp_path / "r.wav")))
        await client.expect(wire.RecordingStarted, recording="r")
        client.send(wire.CloseLeg(leg="ann"))
        assert (await client.expect(wire.RecordingEnded, recording="r")).reason == "leg_closed"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (wire.StartRecording(recording="r", room="nowhere", path="/nonexistent/r.wav"), "room_closed"),
        (wire.StartRecording(recording="r", leg="nobody", path="/nonexistent/r.wav"), "leg_closed"),
    ],
    ids=["room", "leg"],
)
async def test_a_recording_of_what_is_not_there_has_ended(
    engine: Engine, tmp_path: Path, command: wire.Command, reason: str
):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        client.send(command)
        ended = await client.expect(wire.RecordingEnded, recording="r")
        assert (ended.reason, ended.duration_ms, ended.bytes) == (reason, 0, 0)


async def test_a_silent_recording_ends_by_itself_if_told_so(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        async with talking(client, "ann"):
            client.send(
                wire.OpenRoom(room="hall"),
                wire.Join(leg="ann", room="hall"),
                wire.StartRecording(recording="r", room="hall", path=str(tmp_path / "r.wav"), end_of_silence_ms=200),
            )
            await client.expect(wire.RecordingStarted, recording="r")
        assert (await client.expect(wire.RecordingEnded, recording="r")).reason == "silence"


async def test_stats_count_what_the_engine_holds(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        await open_leg(client, "ann")
        await open_leg(client, "bob", offer(40_002))
        client.send(wire.OpenRoom(room="hall"), wire.Join(leg="ann", room="hall"), wire.GetStats(request="q"))
        stats = await client.expect(wire.Stats, request="q")
        assert {leg.leg: leg.room for leg in stats.legs} == {"ann": "hall", "bob": None}
        assert (stats.engine.legs, stats.engine.rooms, stats.engine.recordings) == (2, 1, 0)


async def test_stats_come_after_what_was_asked_for_before(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        client.send(wire.OpenLeg(leg="ann", sdp=offer()), wire.GetStats(request="q"))
        stats = await client.expect(wire.Stats, request="q")
        assert (await client.expect(wire.LegAnswered, leg="ann")).seq < stats.seq


async def test_what_is_not_acknowledged_comes_again_in_order_after_a_reconnect(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket:
        async with engine_client(socket) as client:
            for leg in ("ann", "bob", "eve"):
                await open_leg(client, leg)
            assert client.last_seq == 3
            client.send(wire.Ack(seq=1))
            await client.caught_up()
        async with engine_client(socket, client.engine, acked=1) as again:
            await again.caught_up()
            assert again.engine == client.engine
            assert again.welcome is not None
            assert again.welcome.last_seq == 4
            assert [leg.leg for leg in again.welcome.snapshot.legs] == ["ann", "bob", "eve"]
            assert [event.seq for event in again.events] == [2, 3, 4][: len(again.events)]
            assert [event.leg for event in again.events if isinstance(event, wire.LegAnswered)] == ["bob", "eve"]
        async with engine_client(socket, client.engine, acked=4) as once_more:
            await once_more.caught_up()
            assert [event for event in once_more.events if event.seq <= 4] == []


async def test_a_new_server_replaces_the_old_one(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as old:
        await old.caught_up()
        async with engine_client(socket) as new:
            with pytest.raises(AssertionError, match="closed"):
                await old.expect(wire.LegJoined)
            await open_leg(new, "ann")


async def test_an_engine_without_a_server_closes_its_recordings_and_ends(engine: Engine, tmp_path: Path):
    async with engine(tmp_path, orphan_timeout_s=1) as socket:
        async with engine_client(socket) as client:
            await open_leg(client, "ann")
            identity = client.engine
        await asyncio.sleep(1.5)
        with pytest.raises((OSError, AssertionError)):
            async with engine_client(socket, identity) as client:
                assert client.engine == identity


async def test_shutdown_ends_the_engine(engine: Engine, tmp_path: Path):
    async with engine(tmp_path) as socket, engine_client(socket) as client:
        client.send(wire.Shutdown())
        with pytest.raises(AssertionError, match="closed"):
            await client.expect(wire.LegJoined)
