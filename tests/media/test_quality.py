"""The E-model against the examples that the ITU published, and what is made of the engine's figures."""

from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plenary.doors import Quality
from plenary.media import quality
from plenary.media.emodel import (
    CODECS,
    FULLBAND,
    NARROWBAND,
    WIDEBAND,
    Line,
    Scale,
    delay_impairment,
    effective_ie,
    mos,
    opinion,
    rating,
    widest,
)
from plenary.media.messages import LegStats
from plenary.server import Server


def test_the_default_values_give_the_rating_that_g_107_says_they_give():
    """ITU-T G.107 section 7.7: R = 93.2."""
    assert round(rating(Line()), 1) == 93.2


@pytest.mark.parametrize(("ms", "r"), [(100, 90.66), (150, 89.54), (250, 79.18)])
def test_delay_and_its_echoes_lower_the_rating_as_in_other_implementations_of_the_whole_model(ms: float, r: float):
    """ITU-T G.107 section 7.4, T = Ta and Tr = 2 Ta: docs/decisions/quality-by-e-model.md names the other one."""
    assert rating(Line(t=ms, ta=ms, tr=2 * ms)) == pytest.approx(r, abs=0.01)


@pytest.mark.parametrize(("r", "score"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_ratings_become_opinions_as_in_annex_b(r: float, score: float):
    """ITU-T G.107 Table B.1, rounded there in its own way."""
    assert mos(r) == pytest.approx(score, abs=0.01)


@pytest.mark.parametrize(("loss", "ie"), [(0, 11), (1, 15), (2, 19), (3, 23), (4, 26), (8, 36)])
def test_loss_impairs_g_729_a_as_in_g_113(loss: float, ie: float):
    """ITU-T G.113 Appendix I: G.729A with silence suppression, Ie 11 and Bpl 19, beside the older table of values."""
    assert effective_ie(11, 19, loss) == pytest.approx(ie, abs=0.6)


@pytest.mark.parametrize(
    ("ie", "score"), [(0, 4.5), (1, 4.494), (8, 4.421), (13, 4.337), (26, 4.018), (41, 3.512), (56, 2.922)]
)
def test_wideband_codecs_have_the_opinions_that_go_with_g_113s_values(ie: float, score: float):
    """ITU-T G.107.1 equations 7-1 to 7-3, A-1, A-2, with the Ie,WB of G.113 Tables IV.1 and IV.3 (AMR-WB)."""
    assert mos((WIDEBAND.best - ie) / WIDEBAND.length) == pytest.approx(score, abs=0.001)


def test_loss_impairs_wideband_as_narrowband_up_to_95():
    """ITU-T G.107.1 equation 7-15: AMR-WB at 12.65 kbit/s (G.113 Table IV.4: 20, 4.3) loses 2 %."""
    impaired = effective_ie(20, 4.3, 2, worst=WIDEBAND.worst_ie)
    assert impaired == pytest.approx(43.81, abs=0.01)
    assert mos((WIDEBAND.best - impaired) / WIDEBAND.length) == pytest.approx(3.406, abs=0.001)


@pytest.mark.parametrize(("scale", "impairment"), [(NARROWBAND, 3.044), (WIDEBAND, 3.927), (FULLBAND, 4.506)])
def test_delay_weighs_as_much_on_each_scale(scale: Scale, impairment: float):
    """ITU-T G.107.1 equation 7-13, and the same in G.107.2: 200 ms, where X = 1."""
    assert scale.length * delay_impairment(200) == pytest.approx(impairment, abs=0.001)


def test_the_ratings_of_the_three_models_lie_on_one_line():
    """ITU-T G.113: Ie,WB of G.711 is 36, and Ie,FB is about Ie,WB + 19."""
    assert pytest.approx(NARROWBAND.best, abs=0.5) == WIDEBAND.best - 36
    assert WIDEBAND.best == FULLBAND.best - 19


@pytest.mark.parametrize(
    ("delay_ms", "impairment"), [(0, 0), (100, 0), (150, 0.0), (200, 3.0), (300, 14.8), (400, 24.0)]
)
def test_delay_impairs_beyond_150_ms(delay_ms: float, impairment: float):
    """ITU-T G.114 Figure 1: barely below 150 ms, many are dissatisfied at 400 ms."""
    assert delay_impairment(delay_ms) == pytest.approx(impairment, abs=1.0)


@given(st.sampled_from(sorted(CODECS)), st.floats(0, 100), st.floats(0, 10_000))
def test_an_opinion_is_one_to_four_and_a_half_and_worse_with_loss_and_delay(codec: str, loss: float, delay_ms: float):
    here, more_loss, later = (
        opinion(codec, *where) for where in ((loss, delay_ms), (loss + 1, delay_ms), (loss, delay_ms + 50))
    )
    assert here is not None
    assert more_loss is not None
    assert later is not None
    assert 1.0 <= here <= 4.5
    assert here >= more_loss - 0.01
    assert here >= later - 0.01


def test_each_bandwidth_has_its_model():
    assert {codec: equipment.scale.model for codec, equipment in CODECS.items()} == {
        "PCMU": "G.107",
        "PCMA": "G.107",
        "G722": "G.107.1",
        "opus": "G.107.2",
    }
    assert opinion("speex", 0, 0) is None
    assert WIDEBAND.best / WIDEBAND.length == FULLBAND.best / FULLBAND.length == 100


def test_who_is_used_to_more_expects_more_of_a_telephone():
    """G.711 among wider codecs: about 3.7 where others speak wideband, 3.2 where they speak fullband."""
    scores = [opinion("PCMU", 0, 0, scale) for scale in (NARROWBAND, WIDEBAND, FULLBAND)]
    assert scores == [pytest.approx(4.41, abs=0.01), pytest.approx(3.70, abs=0.01), pytest.approx(3.25, abs=0.01)]
    assert widest(["PCMU", "speex"]) == NARROWBAND
    assert widest(["PCMU", "G722"]) == WIDEBAND
    assert widest(["opus", "G722"]) == FULLBAND
    assert widest(["speex"]) is None


# --- What is made of the engine's figures ----------------------------------------------------------------------------


def leg(name: str, rtt_ms: float | None = 20.0, **figures: object) -> LegStats:
    fields: dict[str, object] = {
        "packets_received": 100,
        "codec": "PCMU",
        "heard_codec": figures.get("codec", "PCMU"),
        "loss_percent": 0.0,
        "buffer_ms": 40.0,
        "tick_wait_ms": 10.0,
        "mix_us": 100.0,
        "send_us": 200.0,
        **figures,
    }
    return LegStats(leg=name, room="room", round_trip_ms=rtt_ms, **fields)  # type: ignore[arg-type]


def test_the_way_in_and_the_way_out_are_the_sums_of_their_stages():
    delay = quality.delay_of(leg("a", encode_us=300.0, decode_us=1000.0))
    assert delay.speaking_ms == pytest.approx(20 + 10 + 40 + 10 + 1)
    assert delay.listening_ms == pytest.approx(10 + 0.1 + 0.2 + 0.3)
    opus = quality.delay_of(leg("a", codec="opus"))
    assert opus.speaking_ms == pytest.approx(20 + 6.5 + 10 + 40 + 10)


def test_what_was_not_measured_is_null_and_so_is_its_sum():
    unmeasured = quality.delay_of(leg("a", rtt_ms=None))
    assert (unmeasured.network_ms, unmeasured.speaking_ms, unmeasured.listening_ms) == (None, None, None)
    silent = quality.delay_of(leg("a", buffer_ms=None, tick_wait_ms=None))
    assert (silent.jitter_buffer_ms, silent.speaking_ms) == (None, None)
    assert silent.listening_ms is not None
    assert quality.opinion(leg("a", loss_percent=None), 100.0) is None
    assert quality.opinion(leg("a", codec=None), 100.0) is None
    assert quality.opinion(leg("a"), None) is None


def test_before_the_first_tick_nothing_is_known_of_its_work():
    new = quality.delay_of(leg("a", mix_us=0.0, send_us=0.0))
    assert (new.mix_ms, new.send_ms, new.listening_ms) == (None, None, None)


def test_who_sends_another_codec_than_he_is_sent_is_judged_by_what_he_sends():
    """RFC 3264 section 5.1: of several that were agreed on each side may choose."""
    mixed = leg("a", codec="opus", heard_codec="PCMU")
    assert quality.opinion(mixed, 100.0) == quality.opinion(leg("b"), 100.0)
    assert quality.delay_of(mixed).speaking_ms == quality.delay_of(leg("b")).speaking_ms
    assert quality.opinions_in_room([mixed], 100.0)[1] == "G.107"


def test_an_opinion_is_of_what_a_leg_says_not_of_what_it_hears():
    clean = quality.opinion(leg("a"), 100.0)
    assert quality.opinion(leg("a", loss_out_percent=10.0), 100.0) == clean
    assert clean is not None
    lossy = quality.opinion(leg("a", loss_percent=10.0, loss_out_percent=0.0), 100.0)
    assert lossy is not None
    assert lossy[0] < clean[0] - 0.3


def test_a_room_has_the_median_and_the_worst_of_its_pairs():
    near, far, unknown = leg("near", 0.0), leg("far", 400.0), leg("unknown", None)
    room = quality.of_room(quality.compared([near, far, unknown]))
    assert (room.worst_speaker, room.worst_listener) in (("near", "far"), ("far", "near"))
    assert room.median_ms == pytest.approx(70 + 200.3)
    assert quality.of_room(quality.compared([near])).median_ms is None
    assert quality.of_room(quality.compared([])).worst_speaker == ""


def test_a_room_is_scored_on_the_scale_of_its_widest_codec():
    room = [leg("phone"), leg("browser", codec="opus")]
    strangers = [leg("unknown", loss_percent=None), leg("strange", codec="speex")]
    scores, model = quality.opinions_in_room([*room, *strangers], 100.0)
    assert model == "G.107.2"
    assert scores == [pytest.approx(3.25, abs=0.01), pytest.approx(4.24, abs=0.01)]
    unmeasured = leg("browser", codec="opus", loss_percent=None)
    assert quality.opinions_in_room([room[0], unmeasured], 100.0) == (scores[:1], "G.107.2")
    assert quality.opinions_in_room(room[:1], 100.0) == ([pytest.approx(4.41, abs=0.01)], "G.107")
    assert quality.opinions_in_room(strangers, 100.0) == ([], None)
    assert quality.opinions_in_room(room, None) == ([], None)


def test_one_is_compared_with_each_of_the_others_both_ways():
    me, other = leg("me", 100.0), leg("other", 0.0, buffer_ms=0.0)
    into, out = 20 + 50 + 40 + 10 + 0.3, 20 + 0 + 10 + 50.3
    assert quality.mouth_to_ear(me, quality.compared([me, other])) == pytest.approx((into + out) / 2)
    assert quality.mouth_to_ear(me, quality.compared([me])) is None


def test_large_rooms_are_compared_in_part():
    room = quality.of_room(quality.compared([leg(str(number)) for number in range(1000)]))
    assert room.median_ms == pytest.approx(20 + 10 + 40 + 10 + 10.3)


@pytest.mark.parametrize(
    ("score", "word"), [(4.5, "excellent"), (4.0, "good"), (3.2, "fair"), (2.5, "poor"), (1, "bad")]
)
def test_scores_have_words(score: float, word: str):
    assert quality.words(score) == word


def test_each_participant_of_a_room_has_a_figure_of_his_own():
    legs = {name: leg(name, rtt_ms) for name, rtt_ms in (("near", 0.0), ("middle", 40.0), ("far", 400.0))}
    members = [SimpleNamespace(id=f"member-{name}", reference_id=name) for name in legs]
    server = SimpleNamespace(roster=SimpleNamespace(members=lambda _: members), statistics_of=legs.get)
    door = Quality(cast(Server, server))
    told = {each.call_id: each.mouth_to_ear_ms for each in door.of_conference("room").participants}
    assert told == {name: found.mouth_to_ear_ms for name in legs if (found := door.of_call(name))}
    assert told["far"] > told["middle"] > told["near"]
