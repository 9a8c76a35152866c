"""What the server adds to `/metrics`: calls, conferences, the log, and the media engine's figures."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from .api.metrics import Metrics
from .media.messages import EngineStats, LegStats
from .server import Server


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
    gauge("plenary_engine_tick_seconds_p99", "Length of a tick.", engine(lambda s: s.tick_us_p99 / 1e6))

    def legs(pick: Callable[[LegStats], float]) -> Callable[[], float]:
        return lambda: sum(map(pick, server.statistics.values()))

    gauge("plenary_rtp_packets_lost", "RTP packets that never came, over the calls of now.", legs(lambda s: s.lost))
    gauge("plenary_rtp_packets_late", "RTP packets that came too late to play.", legs(lambda s: s.late))
    gauge("plenary_rtp_packets_from_strangers", "RTP packets of another source.", legs(lambda s: s.strangers))
    gauge("plenary_concealed_seconds", "Sound made up for what was lost.", legs(lambda s: s.concealed_ms / 1e3))
