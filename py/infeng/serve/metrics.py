"""What /metrics tells, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from infeng.generation import Answer, Event
from infeng.runner import Runner

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counts of one server."""

    def __init__(self, runner: Runner, model: str) -> None:
        self._model = model
        self.registry = CollectorRegistry()
        self.registry.register(_RunnerCollector(runner))
        self._requests = Counter(
            "infeng_requests", "Answers ended", ["model", "reason"], registry=self.registry
        )
        self._refused = Counter(
            "infeng_refused_requests", "Requests refused", ["status"], registry=self.registry
        )
        self._prompt = Counter(
            "infeng_prompt_tokens", "Tokens of prompts", ["model"], registry=self.registry
        )
        self._new = Counter(
            "infeng_generated_tokens", "Tokens generated", ["model"], registry=self.registry
        )
        self._first = Histogram(
            "infeng_time_to_first_token_seconds",
            "From arrival to the first token",
            ["model"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._gap = Histogram(
            "infeng_time_per_token_seconds",
            "From token to token",
            ["model"],
            buckets=(0.002, 0.005, *_SECONDS),
            registry=self.registry,
        )

    def observe(self, answer: Answer, event: Event) -> None:
        """An event of an answer, in the thread that steps."""
        request = answer.request
        model = (request.adapter if request else None) or self._model
        if event.error is not None:
            self._requests.labels(model, "error").inc()
            return
        self._new.labels(model).inc()
        if event.at == 0:
            self._prompt.labels(model).inc(len(answer.prompt))
            self._first.labels(model).observe(answer.times[0] - answer.started)
        else:
            gap = answer.times[event.at] - answer.times[event.at - 1]
            self._gap.labels(model).observe(gap)
        if event.finish_reason is not None:
            self._requests.labels(model, event.finish_reason).inc()

    def cancelled(self, answer: Answer) -> None:
        """Nobody waits for an answer any more."""
        if answer.finish_reason is None:
            request = answer.request
            model = (request.adapter if request else None) or self._model
            self._requests.labels(model, "cancelled").inc()

    def refused(self, status: int) -> None:
        self._refused.labels(str(status)).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _RunnerCollector:
    """What the runner knows already, read when asked."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def collect(self) -> Iterator[Metric]:
        runner = self._runner
        s, c = runner.scheduler, runner.counters
        for name, text, value in (
            ("infeng_requests_running", "Requests that run", len(s.running)),
            ("infeng_requests_waiting", "Requests that wait", len(s.waiting)),
            ("infeng_kv_pages", "Pages of the KV cache", s.limits.pages),
            ("infeng_kv_pages_used", "Pages claimed or cached", s.pages_used),
            ("infeng_kv_pages_cached", "Pages of the prefix cache", s.prefixes.nodes),
            ("infeng_adapter_bytes", "Bytes of resident adapters", s.adapters.held_bytes),
        ):
            yield GaugeMetricFamily(name, text, value)
        for name, text, total in (
            ("infeng_prefix_asked_tokens", "Tokens of prompts looked up", s.prefixes.asked_tokens),
            ("infeng_prefix_found_tokens", "Of them found cached", s.prefixes.found_tokens),
            ("infeng_preemptions", "Requests preempted", s.preemptions),
            ("infeng_steps", "Steps of the engine", c.steps),
            ("infeng_step_seconds", "Time in steps", c.busy_s),
            ("infeng_engine_seconds", "Of it in the engine", c.engine_s),
            ("infeng_adapter_loads", "Adapters loaded", c.adapter_loads),
            ("infeng_draft_tokens", "Tokens of drafts computed", c.draft_tokens),
            ("infeng_accepted_draft_tokens", "Of them accepted", c.accepted_tokens),
        ):
            yield CounterMetricFamily(name, text, value=total)
