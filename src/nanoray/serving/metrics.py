"""Measurements for Prometheus. No label has a value from a client."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The service's measurements, in a separate registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "nanoray_http_requests",
            "HTTP requests by route and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "nanoray_http_request_seconds",
            "Time to answer a request.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.screened = Counter(
            "nanoray_screened",
            "Files screened, by decision or 'unreadable'.",
            ("decision",),
            registry=self.registry,
        )
        self.refused = Counter(
            "nanoray_refused", "Unreadable files by reason.", ("code",), registry=self.registry
        )
        self.read_seconds = Histogram(
            "nanoray_read_seconds", "Time to read a file.", buckets=_SECONDS, registry=self.registry
        )
        self.infer_seconds = Histogram(
            "nanoray_infer_seconds",
            "Time of one run of the network.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batch_files = Histogram(
            "nanoray_batch_files",
            "Files in one run of the network.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        self.retried = Counter(
            "nanoray_read_retries",
            "Files read again because a reading process ended.",
            registry=self.registry,
        )
        self.database_failures = Counter(
            "nanoray_database_failures",
            "Times that the database could not be used.",
            registry=self.registry,
        )
        self.dicom_stores = Counter(
            "nanoray_dicom_stores",
            "C-STORE requests by status.",
            ("status",),
            registry=self.registry,
        )
        self.dicom_rejected = Counter(
            "nanoray_dicom_associations_rejected",
            "Associations rejected for their AE title or their number.",
            registry=self.registry,
        )
        self.dicom_dropped = Counter(
            "nanoray_dicom_connections_dropped",
            "DICOM connections closed before an association request.",
            registry=self.registry,
        )
        self.dicom_conflicts = Counter(
            "nanoray_dicom_conflicts",
            "Images whose SOP Instance UID was known with other content: taken as a correction, "
            "or refused as a collision with another patient's or study's.",
            ("taken_as",),
            registry=self.registry,
        )
        self.dicom_too_large = Counter(
            "nanoray_dicom_too_large",
            "DICOM connections closed for exceeding the memory limit.",
            registry=self.registry,
        )
        self.deliveries = Counter(
            "nanoray_deliveries",
            "Attempts to deliver a report: delivered, failed or dead.",
            ("outcome",),
            registry=self.registry,
        )

    def gauge(self, name: str, words: str, value: Callable[[], float]) -> None:
        """Return a measurement whose value is read on demand."""
        Gauge(name, words, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """Return all measurements in the text format of Prometheus."""
        return generate_latest(self.registry)
