"""What `/metrics` shows of the delay of calls, over all of them and over time."""

from prometheus_client import CollectorRegistry, generate_latest

from plenary.media.messages import LegStats
from plenary.metrics import OBSERVED_MAX, STAGES, Delays


class Scraped:
    def __init__(self) -> None:
        self.legs: dict[str, LegStats] = {}
        self._registry = CollectorRegistry()
        self._registry.register(Delays(lambda: self.legs))

    def report(self, *legs: LegStats) -> None:
        self.legs = {leg.leg: leg for leg in legs}

    def __call__(self) -> dict[str, float]:
        lines = generate_latest(self._registry).decode().splitlines()
        return {name: float(value) for name, value in (line.split(" ") for line in lines if line[0] != "#")}


def leg(name: str, room: str = "room", round_trip_ms: float | None = 20.0) -> LegStats:
    return LegStats(
        leg=name, room=room, codec="PCMU", heard_codec="PCMU", packets_received=1, round_trip_ms=round_trip_ms,
        buffer_ms=40.0, tick_wait_ms=10.0, decode_us=50.0, mix_us=100.0, encode_us=150.0, send_us=200.0,
    )  # fmt: skip


def count(stage: str) -> str:
    return f'plenary_call_delay_seconds_count{{stage="{stage}"}}'


def test_each_stage_of_each_call_is_counted_where_it_belongs():
    scrape = Scraped()
    scrape.report(leg("a"), leg("b"))
    seen = scrape()
    assert {seen[count(stage)] for stage in STAGES} == {2.0}
    assert seen['plenary_call_delay_seconds_bucket{le="0.04",stage="jitter_buffer"}'] == 2
    assert seen['plenary_call_delay_seconds_bucket{le="0.03",stage="jitter_buffer"}'] == 0
    assert seen['plenary_call_delay_seconds_bucket{le="0.0002",stage="send"}'] == 2
    assert seen['plenary_call_delay_seconds_bucket{le="0.0001",stage="send"}'] == 0


def test_a_report_is_counted_once_however_often_it_is_scraped():
    scrape = Scraped()
    scrape.report(leg("a"))
    scrape()
    assert scrape()[count("mix")] == 1
    scrape.report(leg("a"))
    assert scrape()[count("mix")] == 2


def test_what_was_not_measured_is_not_counted_nor_is_what_is_added_up_of_it():
    scrape = Scraped()
    scrape.report(leg("a"), leg("b", round_trip_ms=None))
    seen = scrape()
    assert (seen[count("network")], seen[count("speaking")], seen[count("tick_wait")]) == (1, 1, 2)
    assert seen["plenary_mouth_to_ear_seconds_count"] == 0


def test_from_mouth_to_ear_goes_from_each_member_of_a_room_to_another_one():
    scrape = Scraped()
    scrape.report(leg("a"), leg("b"), leg("c"), leg("d", room="other"))
    seen = scrape()
    assert seen["plenary_mouth_to_ear_seconds_count"] == 3
    assert seen['plenary_mouth_to_ear_seconds_bucket{le="0.1"}'] == 3
    assert seen['plenary_mouth_to_ear_seconds_bucket{le="0.08"}'] == 0


def test_of_many_calls_some_are_counted_and_all_of_them_in_turn():
    scrape = Scraped()
    legs = [leg(str(number)) for number in range(3 * OBSERVED_MAX)]
    for _ in range(3):
        scrape.report(*legs)
        seen = scrape()
    assert seen[count("mix")] == len(legs)
