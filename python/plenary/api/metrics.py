"""What `/metrics` shows, in the text format of Prometheus.

`Metrics` is the one registry of the server: the API counts its requests here, the server adds what it knows of calls,
rooms and the media engine by `gauge`, `counter` or `collector`. Names start with `plenary_`, units are base units, and
no label holds an id: a label value is one of a few.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

disable_created_metrics()
"""No `_created` beside each counter: they would all say when the server was started."""

CONTENT_TYPE = CONTENT_TYPE_LATEST.partition("; charset")[0]
"""Of `Metrics.text`, which is UTF-8."""

DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 60.0)
"""Around the 20 ms that a request may take at the worst; the last ones are long polls."""


class _Route:
    """The counters of one (method, route, status), looked up once."""

    __slots__ = ("count", "duration")

    def __init__(self, count: Counter, duration: Histogram) -> None:
        self.count = count
        self.duration = duration


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._requests = Counter(
            "plenary_http_requests",
            "HTTP requests answered, by route template.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._durations = Histogram(
            "plenary_http_request_duration_seconds",
            "From the head of an HTTP request to the end of its answer. Long polls last as long as they were asked to.",
            ["method", "route"],
            buckets=DURATION_BUCKETS_S,
            registry=self.registry,
        )
        self._routes: dict[tuple[str, str, int], _Route] = {}

    def gauge(self, name: str, help: str, value: Callable[[], float]) -> None:
        """Adds a gauge whose value is asked for at each scrape."""
        Gauge(name, help, registry=self.registry).set_function(value)

    def counter(self, name: str, help: str) -> Counter:
        """Adds a counter for the caller to count with. `_total` is put behind its name."""
        return Counter(name, help, registry=self.registry)

    def collector(self, collector: Collector) -> None:
        """Adds what makes its own samples at each scrape: for values that have labels."""
        self.registry.register(collector)

    def answered(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Counts one HTTP request. `route` is the template, never the path: it must not grow with the ids."""
        key = (method, route, status)
        found = self._routes.get(key)
        if found is None:
            found = self._routes[key] = _Route(
                self._requests.labels(method, route, str(status)), self._durations.labels(method, route)
            )
        found.count.inc()
        found.duration.observe(duration_s)

    def text(self) -> bytes:
        return generate_latest(self.registry)
