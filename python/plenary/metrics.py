"""What the server adds to `/metrics`: calls, conferences, the log, and the media engine's figures.

Delay is there twice. Histograms take in the calls of now at each scrape, so that the quantiles of a day can be asked
for; gauges say how things are now, where a histogram is still full of the past.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .api.metrics import Metrics
from .media import quality
from .media.messages import EngineStats, LegStats
from .server import Server

STAGES = ("network", "jitter_buffer", "tick_wait", "decode", "mix", "encode", "send", "speaking", "listening")
"""Of `media.quality.Delay`, each of which has a label's value."""
STAGE_BUCKETS_S = (
    *(1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3),
    *(0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
)
"""From the microseconds of a mix to the longest that a jitter buffer holds a packet, and a satellite's round trip."""
EAR_BUCKETS_S = (0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
"""Around the 150 ms up to which nobody is disturbed, and the 400 ms from which on everybody is (G.114)."""
OBSERVED_MAX = 500
"""Calls that one scrape takes in, always others: 5,000 observations take some ten milliseconds."""


class Delays(Collector):
    """Histograms of the stages of delay, and of mouth to ear, over all calls and all times."""

    def __init__(self, statistics: Callable[[], Mapping[str, LegStats]]) -> None:
        """`statistics`: what the engine last said of each call; another object with each of its reports."""
        self._statistics = statistics
        self._taken: Mapping[str, LegStats] = {}
        self._turn = 0
        about = "Delay of each stage, of the calls of each scrape; what was not measured is not counted."
        self._stages = Histogram("plenary_call_delay_seconds", about, ["stage"], buckets=STAGE_BUCKETS_S, registry=None)
        self._of_stage = {stage: self._stages.labels(stage) for stage in STAGES}
        about = "From mouth to ear, what devices add left out: of the calls of each scrape to another one in the room."
        self._ears = Histogram("plenary_mouth_to_ear_seconds", about, buckets=EAR_BUCKETS_S, registry=None)

    def collect(self) -> Iterator[Metric]:
        found = self._statistics()
        # Whoever else scrapes in the same two seconds sees the same calls.
        if found is not self._taken:
            self._taken = found
            self._observe(list(found.values()))
        yield from self._stages.collect()
        yield from self._ears.collect()

    def _observe(self, legs: Sequence[LegStats]) -> None:
        step = max(1, -(-len(legs) // OBSERVED_MAX))
        self._turn = (self._turn + 1) % step
        rooms: dict[str, list[quality.Delay]] = {}
        for leg in legs[self._turn :: step]:
            delay = quality.delay_of(leg)
            for stage, histogram in self._of_stage.items():
                ms = getattr(delay, f"{stage}_ms")
                if ms is not None:
                    histogram.observe(ms / 1e3)
            if leg.room is not None:
                rooms.setdefault(leg.room, []).append(delay)
        for members in rooms.values():
            # All pairs of a large room would be thousands; a ring has everybody once as speaker, once as listener.
            ring = [*members, members[0]] if len(members) > 1 else []
            for speaker, listener in pairwise(ring):
                if speaker.speaking_ms is not None and listener.listening_ms is not None:
                    self._ears.observe((speaker.speaking_ms + listener.listening_ms) / 1e3)


class _Quality(Collector):
    """Delay and sound of the calls of now, as their median and their worst: no label names a call."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def collect(self) -> Iterator[GaugeMetricFamily]:
        legs = list(self._server.statistics.values())
        delays = [quality.delay_of(leg) for leg in legs]
        about = "Delay of each stage, over the calls of now; what was not measured is not there."
        stages = GaugeMetricFamily("plenary_call_delay_now_seconds", about, labels=["stage", "of"])
        for stage in STAGES:
            found = [ms / 1e3 for delay in delays if (ms := getattr(delay, f"{stage}_ms")) is not None]
            _median_and_worst(stages, [stage], found, max)
        yield stages
        rooms: dict[str, list[LegStats]] = {}
        for leg in legs:
            if leg.room is not None:
                rooms.setdefault(leg.room, []).append(leg)
        ways = {room: quality.of_room(quality.compared(members)) for room, members in rooms.items()}
        about = "From mouth to ear, what devices add left out: the median and the worst way of the rooms of now."
        ears = GaugeMetricFamily("plenary_mouth_to_ear_now_seconds", about, labels=["of"])
        medians = [way.median_ms / 1e3 for way in ways.values() if way.median_ms is not None]
        worsts = [way.worst_ms / 1e3 for way in ways.values() if way.worst_ms is not None]
        if medians and worsts:
            ears.add_metric(["median"], median(medians))
            ears.add_metric(["worst"], max(worsts))
        yield ears
        about = "Opinion (1 to 4.5) that the E-model expects of those who hear a call, by model."
        opinions = GaugeMetricFamily("plenary_call_mos", about, labels=["model", "of"])
        scores: dict[str, list[float]] = {}
        for leg in legs:
            way = ways.get(leg.room or "")
            found = quality.opinion(leg, None if way is None else way.median_ms)
            if found is not None:
                scores.setdefault(found[1], []).append(found[0])
        for model, given in sorted(scores.items()):
            _median_and_worst(opinions, [model], given, min)
        yield opinions
        about = "Share of packets of the last seconds that were lost, from the calls of now (in) and to them (out)."
        losses = GaugeMetricFamily("plenary_call_loss_ratio", about, labels=["way", "of"])
        both = {"in": [leg.loss_percent for leg in legs], "out": [leg.loss_out_percent for leg in legs]}
        for direction, percents in both.items():
            lost = [percent / 100 for percent in percents if percent is not None]
            _median_and_worst(losses, [direction], lost, max)
        yield losses


def _median_and_worst(
    family: GaugeMetricFamily, labels: list[str], found: list[float], worst: Callable[[list[float]], float]
) -> None:
    if found:
        family.add_metric([*labels, "median"], median(found))
        family.add_metric([*labels, "worst"], worst(found))


class _Refused(Collector):
    """What the signalling refused, by status."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def collect(self) -> Iterator[CounterMetricFamily]:
        about = "SIP requests that were refused, calls to nobody included."
        family = CounterMetricFamily("plenary_sip_refused", about, labels=["status"])
        for status, count in sorted(self._server.endpoint.refused.items()):
            family.add_metric([str(status)], count)
        yield family


def add_server_metrics(metrics: Metrics, server: Server) -> None:
    gauge = metrics.gauge
    gauge("plenary_calls", "Calls that are up or coming up.", lambda: server.switch.live_calls)
    gauge("plenary_conferences", "Conferences that are not terminated.", lambda: server.switch.live_conferences)
    gauge("plenary_event_log_position", "Position of the last entry of the event log.", lambda: server.last_position)
    gauge("plenary_inbox", "Inputs that wait for their turn.", lambda: server.inbox_length)
    gauge("plenary_engine_up", "1 while the media engine is connected.", lambda: float(server.link.ready))
    gauge("plenary_engine_starts", "Times that this server had to start an engine.", lambda: server.engine.started)

    metrics.collector(_Refused(server))
    metrics.collector(_Quality(server))
    metrics.collector(Delays(lambda: server.statistics))

    gauge("plenary_engine_events_repeated", "Events that came again and were dropped.", lambda: server.link.duplicates)
    gauge(
        "plenary_engine_commands_dropped",
        "Commands for an engine that was away.",
        lambda: server.link.dropped_commands,
    )
    gauge("plenary_prompts_pending", "Prompts that are being made.", lambda: server.prompts.pending)
    gauge("plenary_sound_cache_failures", "Sounds that the disk did not take.", lambda: server.sounds.failures)
    gauge("plenary_database_bytes", "What the database takes on disk.", lambda: server.store.size_bytes())

    def engine(pick: Callable[[EngineStats], float]) -> Callable[[], float]:
        return lambda: pick(server.engine_statistics) if server.engine_statistics else 0.0

    gauge("plenary_engine_legs", "Legs of the media engine.", engine(lambda s: s.legs))
    gauge("plenary_engine_rooms", "Rooms of the media engine.", engine(lambda s: s.rooms))
    gauge("plenary_engine_recordings", "Recordings that run.", engine(lambda s: s.recordings))
    gauge("plenary_engine_ticks", "Ticks since the engine's start.", engine(lambda s: s.ticks))
    gauge("plenary_engine_late_ticks", "Ticks that began more than 5 ms late.", engine(lambda s: s.late_ticks))
    gauge("plenary_engine_decodes", "Frames that were decoded.", engine(lambda s: s.decodes))
    gauge("plenary_engine_encodes", "Frames that were encoded.", engine(lambda s: s.encodes))
    gauge(
        "plenary_engine_shared_encodes",
        "Frames that were sent without being encoded once more.",
        engine(lambda s: s.shared_encodes),
    )
    gauge(
        "plenary_engine_unsent_packets",
        "Packets for listeners of large rooms that there was no time to send, and RTCP reports whose port is taken.",
        engine(lambda s: s.unsent),
    )
    gauge("plenary_engine_tick_seconds_p99", "Length of a tick.", engine(lambda s: s.tick_us_p99 / 1e6))

    def legs(pick: Callable[[LegStats], float]) -> Callable[[], float]:
        return lambda: sum(map(pick, server.statistics.values()))

    gauge("plenary_rtp_packets_lost", "RTP packets that never came, over the calls of now.", legs(lambda s: s.lost))
    gauge("plenary_rtp_packets_late", "RTP packets that came too late to play.", legs(lambda s: s.late))
    gauge("plenary_rtp_packets_from_strangers", "RTP packets of another source.", legs(lambda s: s.strangers))
    gauge("plenary_concealed_seconds", "Sound made up for what was lost.", legs(lambda s: s.concealed_ms / 1e3))
    gauge("plenary_fec_seconds", "Lost sound that the codec brought back.", legs(lambda s: s.fec_ms / 1e3))
    gauge("plenary_stretched_seconds", "Sound played slower or faster.", legs(lambda s: s.stretched_ms / 1e3))
    gauge(
        "plenary_mixer_starved_ticks",
        "Ticks that had nothing to mix of somebody who was speaking.",
        legs(lambda s: s.starved),
    )
