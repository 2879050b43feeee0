"""The rules of overlay `monitoring`, and the metrics that expressions name."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml
from prometheus_client import CollectorRegistry

from service.metrics import Metrics
from tests.deploy.kustomizations import KUSTOMIZE

MONITORING = KUSTOMIZE / "overlays" / "monitoring"

Rule = dict[str, Any]

# Prometheus' own, and the client library's.
_OTHERS = {"up", "process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total"}
_NAME = re.compile(r"\b(?:seqrisk[a-z]*[_:][a-z0-9_:]+|process_[a-z_]+|up\b)")
_SUFFIXES = ("_bucket", "_sum", "_count")


def groups() -> list[Rule]:
    """The groups of rules, in order."""
    manifest = yaml.safe_load((MONITORING / "prometheus-rule.yaml").read_text())
    found: list[Rule] = manifest["spec"]["groups"]
    return found


def alerts() -> list[Rule]:
    """The rules that call somebody."""
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def recorded() -> list[Rule]:
    """The rules that record a figure."""
    return [rule for group in groups() for rule in group["rules"] if "record" in rule]


def unknown_metrics(expression: str) -> list[str]:
    """What an expression names that neither the service nor a rule has."""
    return [name for name in _NAME.findall(expression) if name not in _known()]


@cache
def _known() -> set[str]:
    return {*_declared(), *(rule["record"] for rule in recorded()), *_OTHERS}


def _declared() -> Iterator[str]:
    for metric in vars(Metrics()).values():
        if isinstance(metric, CollectorRegistry) or not hasattr(metric, "describe"):
            continue
        (family,) = metric.describe()
        if family.type == "histogram":
            yield from (family.name + suffix for suffix in _SUFFIXES)
        else:
            yield family.name + ("_total" if family.type == "counter" else "")
