"""Numbers for Prometheus, of all workers together.

(BentoML's own are off: they make a series of every path that was ever asked for.)
"""

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from services.search.drift import Drift

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SHARED = "PROMETHEUS_MULTIPROC_DIR"  # set by BentoML: workers count in files, one reads them all
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOGETHER = (1, 2, 4, 8, 16, 32, 64)
_KINDS = {
    400: "invalid", 401: "no_key", 404: "missing", 405: "invalid", 408: "slow_body",
    409: "conflict", 413: "large_body", 422: "invalid", 429: "too_many", 504: "deadline",
}  # fmt: skip


class Metrics:
    """What the service counts."""

    def __init__(self, folder: Path | None = None) -> None:
        """Begin to count.

        Args:
            folder: What the workers of one service count in together; None for this process alone.
        """
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            os.environ[_SHARED] = str(folder.absolute())
        registry = self._registry = CollectorRegistry()
        self._phases = Histogram(
            "kindred_request_seconds",
            "Searches by phase. Queue and total: of a request; encode and search: of a batch.",
            ["phase"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "kindred_batch_size",
            "Requests that were answered together.",
            ["kind"],
            buckets=_TOGETHER,
            registry=registry,
        )
        self._requests = Counter(
            "kindred_requests",
            "Requests by route.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._errors = Counter("kindred_errors", "Errors by kind.", ["kind"], registry=registry)
        self._swaps = Counter(
            "kindred_swaps", "Versions that took over, in each worker.", ["done"], registry=registry
        )

    @classmethod
    def of_worker(cls, folder: Path) -> "Metrics":
        """Those of a worker of BentoML's, shared in `folder`; else of this process alone."""
        return cls(folder if is_worker() else None)

    def phase(self, name: str, seconds: float) -> None:
        """A search's phase has ended."""
        self._phases.labels(name).observe(seconds)

    def batch(self, kind: str, size: int) -> None:
        """A batch begins."""
        self._batches.labels(kind).observe(size)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, method, str(status)).inc()
        if status >= 400:
            self._errors.labels(_KINDS.get(status, "failed" if status >= 500 else "other")).inc()
        elif route.startswith("/v1/search"):
            self.phase("total", seconds)

    def swap(self, *, done: bool) -> None:
        """A version took over, or could not be opened."""
        self._swaps.labels("yes" if done else "no").inc()

    def text(self, version: int, digest: str, concepts: int, drift: Drift | None = None) -> bytes:
        """Everything, as Prometheus reads it.

        Args:
            version: What this worker serves.
            digest: Its digest.
            concepts: How many all tenants have taught.
            drift: Of the last queries; None: nothing is known.
        """
        info = GaugeMetricFamily(
            "kindred_version_info", "What serves.", labels=["version", "digest"]
        )
        info.add_metric([str(version), digest], 1)
        taught = GaugeMetricFamily("kindred_concepts", "Concepts of all tenants.", concepts)
        now = CollectorRegistry()
        apart = GaugeMetricFamily(
            "kindred_query_drift",
            "How far the last queries are from held-out wishes: 0 not at all, 1 wholly.",
            drift.statistic if drift else float("nan"),
        )
        now.register(_Given((info, taught, apart)))
        counted = self._registry
        if self._folder is not None:
            counted = CollectorRegistry()
            MultiProcessCollector(counted, str(self._folder.absolute()))  # type: ignore[no-untyped-call]
        return generate_latest(counted) + generate_latest(now)


def is_worker() -> bool:
    """Whether this process is a worker of BentoML's."""
    return _SHARED in os.environ


class _Given(Collector):
    """Numbers that are known already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Them."""
        return self._metrics
