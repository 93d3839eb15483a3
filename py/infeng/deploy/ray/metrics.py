"""One /metrics of all replicas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families


class _Families:
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def together(replicas: Iterable[tuple[str, bytes]]) -> bytes:
    """Each replica's samples with its name as the label `replica`."""
    families: dict[str, Metric] = {}
    for replica, text in replicas:
        for family in text_string_to_metric_families(text.decode()):
            all_of_it = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            for sample in family.samples:
                all_of_it.samples.append(
                    sample._replace(labels={**sample.labels, "replica": replica})
                )
    registry = CollectorRegistry()
    registry.register(_Families(families.values()))
    return generate_latest(registry)
