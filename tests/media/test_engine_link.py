"""`EngineLink` and `FakeEngine` joined by their bytes, on a clock of the test's own."""

import contextlib
from dataclasses import dataclass, field

import pytest
from engines import offer
from hypothesis import given
from hypothesis import strategies as st

from plenary.core import commands, events
from plenary.media import messages as wire
from plenary.media.client import KEYS_MAX, NOWHERE, EngineLink, LegSettings, Position
from plenary.media.errors import FrameTooLarge, MalformedFrame, PromptTooLong, WrongVersion
from plenary.media.fake import FakeEngine

SECOND_OF_SILENCE = bytes(16_000)


@dataclass
class Pair:
    """A server and its engine."""

    engine: FakeEngine = field(default_factory=FakeEngine)
    now: float = 0.0
    heard: list[events.Event] = field(default_factory=list[events.Event])
    link: EngineLink = field(init=False)

    def __post_init__(self) -> None:
        self.new_server(NOWHERE)

    def new_server(self, position: Position) -> None:
        self.link = EngineLink(lambda recording, part: f"/data/{recording}-{part}.wav", position=position)

    def connect(self) -> list[events.Event]:
        self.engine.connected()
        self.link.connected()
        return self.exchange()

    def lose_connection(self) -> list[events.Event]:
        self.engine.disconnected(self.now)
        self.link.disconnected()
        return self.link.events()

    def exchange(self) -> list[events.Event]:
        while data := self.link.to_send():
            self.engine.receive(data, self.now)
        self.link.receive(self.engine.to_send())
        return self.link.events()

    def do(self, *wanted: commands.Command) -> list[events.Event]:
        self.link.perform(wanted)
        return self.exchange()

    def wait(self, seconds: float) -> list[events.Event]:
        self.now += seconds
        self.engine.fire(self.now)
        return self.exchange()


def connected() -> Pair:
    pair = Pair()
    pair.connect()
    return pair


def test_more_than_one_frame_holds_is_done_in_order_and_whole():
    """A storm of calls whose offers are large; one frame takes `FRAME_BYTES_MAX`."""
    pair = connected()
    large = offer() + "a=x:" + "y" * 60_000 + "\r\n"
    calls = [f"call {number}" for number in range(wire.FRAME_BYTES_MAX // 20_000)]
    answered = pair.do(*(commands.OpenLeg(call=call, sdp=large) for call in calls))
    assert [event.call for event in answered if isinstance(event, events.LegAnswered)] == calls


def test_the_first_engine_is_a_restarted_one():
    assert Pair().connect() == [events.EngineReady(restarted=True)]


def test_commands_of_the_core_become_events_of_the_core():
    pair = connected()
    (answered,) = pair.do(commands.OpenLeg(call="ann", sdp=offer()))
    assert isinstance(answered, events.LegAnswered)
    assert (answered.call, answered.direction) == ("ann", "sendrecv")
    joined = pair.do(commands.OpenRoom(conference="hall"), commands.JoinRoom(call="ann", conference="hall"))
    assert joined == [events.LegJoined(call="ann", conference="hall")]
    started = pair.do(commands.StartRecording(recording="r", part=2, conference="hall", duration_ms=1000))
    assert started == [events.RecordingStarted(recording="r")]
    assert pair.wait(1.0) == [events.RecordingEnded(recording="r", reason="duration", duration_ms=1000)]
    pair.do(commands.Play(call="ann", play="p", tone=commands.Tone(frequency_hz=440, duration_ms=500)))
    assert pair.wait(0.5) == [events.PlayEnded(call="ann", play="p", reason="finished")]
    pair.engine.press("ann", "1")
    pair.engine.talk("ann", True, pair.now)
    pair.engine.fall_silent("ann")
    assert pair.exchange() == [
        events.DigitPressed(call="ann", digit="1", duration_ms=100),
        events.TalkingChanged(call="ann", talking=True),
        events.LegInactive(call="ann", silent_ms=30_000),
    ]
    assert pair.do(commands.LeaveRoom(call="ann"), commands.CloseRoom(conference="hall")) == []
    assert pair.do(commands.CloseLeg(call="ann")) == [events.LegClosed(call="ann")]


def test_each_leg_is_made_as_the_server_says_of_its_call():
    """One of a listener that takes encrypted calls only."""
    pair = Pair()
    strict = LegSettings(srtp="required")
    pair.link = EngineLink(lambda *_: "", settings_of={"strict": strict, "lax": LegSettings()}.__getitem__)
    pair.connect()
    answered, refused = pair.do(*(commands.OpenLeg(call=call, sdp=offer()) for call in ("lax", "strict")))
    assert isinstance(answered, events.LegAnswered)
    assert isinstance(refused, events.LegRefused)
    assert (refused.call, refused.reason) == ("strict", "encryption_required")


def test_commands_that_are_not_the_engines_business_do_not_reach_it():
    pair = connected()
    assert pair.do(commands.RingCall(call="ann"), commands.HangUp(call="ann")) == []
    assert pair.link.reports() == []


def test_a_recording_that_cannot_start_has_ended():
    pair = connected()
    (ended,) = pair.do(commands.StartRecording(recording="r", part=1, conference="nowhere"))
    assert ended == events.RecordingEnded(recording="r", reason="room_closed", duration_ms=0)


def test_a_recording_that_the_engine_does_not_understand_has_ended_with_a_disk_error():
    pair = connected()
    (ended,) = pair.do(commands.StartRecording(recording="r", part=1))
    assert isinstance(ended, events.RecordingEnded)
    assert (ended.reason, ended.detail) == ("disk_error", "exactly one of room and leg")


def test_a_join_that_fails_is_told_with_the_reason():
    (failed,) = connected().do(commands.JoinRoom(call="nobody", conference="nowhere"))
    assert isinstance(failed, events.JoinFailed)
    assert failed.call == "nobody"


def test_after_a_reconnect_old_news_comes_first_and_then_the_snapshot():
    pair = connected()
    pair.do(commands.OpenLeg(call="ann", sdp=offer()), commands.OpenRoom(conference="hall"))
    assert pair.lose_connection() == [events.EngineLost()]
    pair.engine.press("ann", "7")
    digit, ready = pair.connect()
    assert digit == events.DigitPressed(call="ann", digit="7", duration_ms=100)
    assert ready == events.EngineReady(
        restarted=False,
        legs=[events.LegSnapshot(call="ann", conference=None, direction="sendrecv", negotiated=True)],
        conferences=["hall"],
    )


def test_what_was_committed_does_not_happen_twice():
    """The server commits its position with each turn; an acknowledgement that got lost costs nothing."""
    pair = connected()
    pair.do(commands.OpenLeg(call="ann", sdp=offer()))
    committed = pair.link.position
    pair.lose_connection()
    pair.new_server(committed)
    (ready,) = pair.connect()
    assert isinstance(ready, events.EngineReady)
    assert not ready.restarted


def test_what_was_not_committed_happens_again():
    pair = connected()
    before = pair.link.position
    pair.do(commands.OpenLeg(call="ann", sdp=offer()))
    pair.lose_connection()
    pair.new_server(before)
    answered, ready = pair.connect()
    assert isinstance(answered, events.LegAnswered)
    assert isinstance(ready, events.EngineReady)


def test_the_engine_forgets_what_is_acknowledged():
    pair = connected()
    before = pair.link.position
    pair.do(commands.OpenLeg(call="ann", sdp=offer()))
    pair.link.acknowledge(pair.link.position.seq)
    pair.exchange()
    pair.lose_connection()
    pair.new_server(before)
    assert [type(event) for event in pair.connect()] == [events.EngineReady]


def test_a_restarted_engine_says_so_and_its_numbers_begin_anew():
    pair = connected()
    pair.do(commands.OpenLeg(call="ann", sdp=offer()), commands.OpenLeg(call="bob", sdp=offer()))
    pair.engine.crash()
    pair.link.disconnected()
    assert pair.connect() == [events.EngineLost(), events.EngineReady(restarted=True)]
    assert [type(event) for event in pair.do(commands.OpenLeg(call="ann", sdp=offer()))] == [events.LegAnswered]


def test_commands_for_an_engine_that_is_away_are_dropped_and_counted():
    pair = Pair()
    pair.link.perform([commands.OpenRoom(conference="hall"), commands.RingCall(call="ann")])
    pair.link.load_prompt("hello", SECOND_OF_SILENCE, 8000)
    assert pair.link.dropped_commands == 2
    pair.connect()
    assert pair.engine.rooms() == set()


def with_keys() -> Pair:
    """The handshake of ann's phone is through, of which the core hears nothing."""
    pair = connected()
    pair.do(commands.OpenLeg(call="ann", sdp=offer()))
    pair.engine.shake_hands("ann", "secret")
    assert pair.exchange() == []
    return pair


def reopened(pair: Pair) -> str | None:
    """The keys that the next engine gets."""
    pair.engine.crash()
    pair.lose_connection()
    pair.connect()
    pair.do(commands.OpenLeg(call="ann", sdp=None, like=offer()))
    return pair.engine.keys("ann")


def test_keys_of_a_handshake_are_given_to_the_next_engine_and_the_one_after_it():
    pair = with_keys()
    assert reopened(pair) == reopened(pair) == "secret"


def test_a_new_server_learns_the_keys_of_handshakes_from_the_engine():
    pair = with_keys()
    pair.lose_connection()
    pair.new_server(pair.link.position)
    pair.connect()
    assert reopened(pair) == "secret"


def test_keys_are_known_to_the_server_still_if_the_engine_knows_nothing_of_the_leg_yet():
    """The link breaks before the next engine is told of it."""
    pair = with_keys()
    pair.engine.crash()
    pair.lose_connection()
    pair.connect()
    pair.lose_connection()
    pair.connect()
    pair.do(commands.OpenLeg(call="ann", sdp=None, like=offer()))
    assert pair.engine.keys("ann") == "secret"


def test_keys_outlive_a_leg_that_the_engine_ends_of_itself():
    """When it is shut down, or a bug of ours shows: then the leg is opened anew."""
    pair = with_keys()
    closed = wire.LegClosed(seq=pair.link.position.seq + 1, leg="ann", stats=wire.LegStats(leg="ann", room=None))
    pair.link.receive(wire.frame([closed]))
    assert reopened(pair) == "secret"


def test_keys_are_forgotten_with_their_call():
    pair = with_keys()
    pair.do(commands.CloseLeg(call="ann"))
    assert reopened(pair) is None


def test_who_makes_the_offer_makes_new_keys():
    pair = with_keys()
    pair.engine.crash()
    pair.lose_connection()
    pair.connect()
    pair.do(commands.OpenLeg(call="ann", sdp=offer()))
    assert pair.engine.keys("ann") is None


def test_no_more_keys_are_kept_than_an_engine_has_legs():
    pair = with_keys()
    first = pair.link.position.seq + 1
    others = [wire.LegKeyed(seq=first + number, leg=f"leg {number}", keys="x") for number in range(KEYS_MAX)]
    pair.link.receive(wire.frame(others))
    assert reopened(pair) is None


def test_a_prompt_is_loaded_once_and_again_after_a_restart():
    pair = Pair()
    pair.connect()
    pair.do(commands.OpenLeg(call="ann", sdp=offer()))
    pair.link.load_prompt("hello", SECOND_OF_SILENCE, 8000)
    once = len(pair.link.to_send())
    assert once > len(SECOND_OF_SILENCE)
    pair.link.load_prompt("hello", SECOND_OF_SILENCE, 8000)
    assert pair.link.to_send() == b""
    pair.link._prompts.clear()
    pair.link.load_prompt("hello", SECOND_OF_SILENCE, 8000)
    pair.do(commands.Play(call="ann", play="1", prompt="hello"), commands.Play(call="ann", play="2", prompt="hello"))
    assert pair.wait(1.0) == [events.PlayEnded(call="ann", play="1", reason="finished")]
    assert pair.link.holds("hello")
    pair.engine.crash()
    pair.link.disconnected()
    pair.connect()
    assert not pair.link.holds("hello")


def test_an_unknown_prompt_ends_its_play_at_once():
    pair = connected()
    pair.do(commands.OpenLeg(call="ann", sdp=offer()))
    ended = pair.do(commands.Play(call="ann", play="p", prompt="hello"))
    assert ended == [events.PlayEnded(call="ann", play="p", reason="unknown_prompt")]


def test_a_prompt_that_does_not_fit_into_a_frame_is_refused():
    with pytest.raises(PromptTooLong, match="1048 s"):
        connected().link.load_prompt("epic", bytes(wire.FRAME_BYTES_MAX), 8000)


def test_stats_refusals_and_final_counts_are_reports():
    pair = connected()
    pair.link.ask_stats("q")
    pair.do(commands.JoinRoom(call="ann", conference="hall"))
    assert [type(report) for report in pair.link.reports()] == [wire.Stats, wire.CommandFailed]


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (commands.OpenLeg(call="bob", sdp=offer()), events.LegRefused),
        (commands.Play(call="ann", play="p", tone=commands.Tone(frequency_hz=1, duration_ms=1)), events.PlayEnded),
        (commands.StartRecording(recording="r", part=1, call="ann"), events.RecordingEnded),
    ],
)
def test_the_nth_command_can_be_made_to_fail(command: commands.Command, event: type[events.Event]):
    pair = connected()
    pair.engine.fail_at(2)
    pair.do(commands.OpenLeg(call="ann", sdp=offer()))
    assert [type(happened) for happened in pair.do(command)] == [event]


def test_an_engine_of_another_version_is_refused():
    link = EngineLink(lambda recording, part: f"{recording}-{part}")
    link.connected()
    with pytest.raises(WrongVersion, match="version 3"):
        link.receive(wire.frame([wire.Welcome(version=3, engine="x", snapshot=wire.Snapshot(), last_seq=0)]))


@given(st.binary(max_size=64), st.booleans())
def test_whatever_bytes_come_the_link_makes_sense_of_them_or_raises_its_own_error(data: bytes, framed: bool):
    link = EngineLink(lambda recording, part: f"{recording}-{part}")
    link.connected()
    with contextlib.suppress(MalformedFrame, FrameTooLarge):
        link.receive(len(data).to_bytes(4, "big") + data if framed else data)


@given(st.lists(st.binary(max_size=40), max_size=5), st.data())
def test_frames_are_cut_alike_however_the_stream_is_cut(bodies: list[bytes], data: st.DataObject):
    stream = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
    frames, found = wire.Frames(), list[bytes]()
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += frames.receive(stream[:size])
        stream = stream[size:]
    assert found == bodies
