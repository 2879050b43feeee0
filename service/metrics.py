"""Every Prometheus metric, declared once. Label values come from closed sets, so their number is bounded."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_STAGE_SECONDS_BUCKETS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2)
_SECONDS_BUCKETS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1, 2, 5)
_SEQUENCES_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_DIFFERENCE_BUCKETS = (1e-6, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
_RATIO_BUCKETS = (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)


class Metrics:
    """The metrics of one process.

    Args:
        registry: Where they are registered: a fresh one unless given, never prometheus_client's global one.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry

        self.requests = self._counter("seqrisk_requests_total", "HTTP requests answered.", "route", "method", "status")
        self.request_seconds = self._histogram(
            "seqrisk_request_seconds",
            "Time from a request's head to the end of its answer.",
            _SECONDS_BUCKETS,
            "route",
        )
        self.requests_in_flight = self._gauge(
            "seqrisk_requests_in_flight", "HTTP requests that have come and are not answered."
        )
        self.stage_seconds = self._histogram(
            "seqrisk_stage_seconds",
            "Time a request for scores spends in each stage; turn is part of validate, queue, infer come once a call.",
            _STAGE_SECONDS_BUCKETS,
            "stage",
        )
        self.waiting_bytes = self._gauge(
            "seqrisk_waiting_bytes", "Bytes of the bodies that wait for their turn to be read into arrays."
        )
        self.waiting_sequences = self._gauge("seqrisk_waiting_sequences", "Sequences that wait for the model.")
        self.rejects = self._counter("seqrisk_rejects_total", "Answers in the error envelope.", "route", "code")
        self.overloads = self._counter(
            "seqrisk_overloads_total", "Answers of the code overloaded, by what there was too much of.", "reason"
        )
        self.key_requests = self._counter(
            "seqrisk_key_requests_total",
            "Requests with a right key, by its name and by whether they were let in or why not.",
            "key",
            "result",
        )
        self.key_file_changes = self._counter(
            "seqrisk_key_file_changes_total",
            "Changes of the file of keys: those taken up, and those refused, after which the former keys hold.",
            "result",
        )

        self.sequences = self._counter("seqrisk_sequences_total", "Sequences scored.")
        self.events = self._counter("seqrisk_events_total", "Used events: those the model was given.")
        self.unknown_events = self._counter(
            "seqrisk_unknown_events_total", "Used events whose type is not in the vocabulary."
        )
        self.truncated_events = self._counter(
            "seqrisk_truncated_events_total", "Oldest events left out of histories longer than the model takes."
        )

        self.batch_sequences = self._histogram(
            "seqrisk_batch_sequences", "Sequences in one call of the model.", _SEQUENCES_BUCKETS
        )
        self.batch_padding_ratio = self._histogram(
            "seqrisk_batch_padding_ratio", "Share of one call's (batch, time) cells that hold no event.", _RATIO_BUCKETS
        )

        self.compiles = self._counter("seqrisk_compiles_total", "Programs compiled, one a (batch, time) shape.")
        self.model_ready = self._gauge("seqrisk_model_ready", "1 once the model is verified and warm, else 0.")
        self.model_info = self._gauge(
            "seqrisk_model_info", "Always 1; the labels say which version answers.", "name", "version"
        )
        self.model_load_seconds = self._gauge(
            "seqrisk_model_load_seconds", "Time the answering version took from opening to warm."
        )
        self.model_loads = self._counter(
            "seqrisk_model_loads_total", "Versions loaded to answer: those that went live, and those refused.", "result"
        )
        self.model_swaps = self._counter(
            "seqrisk_model_swaps_total", "Times another version took over from the one that answered."
        )
        self.model_newest_refused_version = self._gauge(
            "seqrisk_model_newest_refused_version", "Newest version in the repository that is refused; 0 if none is."
        )
        self.repository_failures = self._counter(
            "seqrisk_repository_failures_total", "Looks at the model repository that failed."
        )

        self.canary_sequences = self._counter(
            "seqrisk_canary_sequences_total", "Sequences the challenger has answered for."
        )
        self.canary_fallbacks = self._counter(
            "seqrisk_canary_fallbacks_total",
            "Sequences of the challenger's that the champion has answered for, by what was wrong with the challenger.",
            "code",
        )
        self.challenger_ready = self._gauge(
            "seqrisk_challenger_ready", "1 while a challenger is verified and warm, else 0."
        )
        self.challenger_risk_difference = self._histogram(
            "seqrisk_challenger_risk_difference",
            "Absolute difference of the challenger's risk to the champion's.",
            _DIFFERENCE_BUCKETS,
        )
        self.challenger_bands = self._counter(
            "seqrisk_challenger_bands_total",
            "Sequences compared, by whether champion and challenger put them in bands of the same name.",
            "result",
        )
        self.challenger_rank_correlation = self._gauge(
            "seqrisk_challenger_rank_correlation",
            "Spearman's rank correlation of champion and challenger over the latest sequences; NaN without any.",
        )
        self.challenger_errors = self._counter(
            "seqrisk_challenger_errors_total", "Requests the challenger failed to compare."
        )
        self.challenger_drops = self._counter(
            "seqrisk_challenger_drops_total",
            "Requests not compared: someone would have had to wait, or the challenger looks further back than it may.",
        )

        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, documentation, labels, buckets=buckets, registry=self.registry)
