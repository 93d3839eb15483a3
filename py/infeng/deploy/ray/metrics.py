"""One /metrics of all replicas."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families


@dataclasses.dataclass(frozen=True)
class Page:
    """A replica's /metrics; its name and node are Ray's."""

    replica: str
    node: str
    pid: int
    text: bytes


class _Families:
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def together(pages: Iterable[Page]) -> bytes:
    """Each replica's samples with its name as the label `replica`, and where each replica is."""
    who = GaugeMetricFamily("infeng_replica", "Replicas", labels=["replica", "node", "pid"])
    families: dict[str, Metric] = {who.name: who}
    for page in pages:
        who.add_metric([page.replica, page.node, str(page.pid)], 1)
        for family in text_string_to_metric_families(page.text.decode()):
            of_all = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            of_all.samples += [
                sample._replace(labels={**sample.labels, "replica": page.replica})
                for sample in family.samples
            ]
    registry = CollectorRegistry()
    registry.register(_Families(families.values()))
    return generate_latest(registry)
