"""The HorizontalPodAutoscaler's arithmetic, as Kubernetes documents it and its controller does it.

Metric        one figure the autoscaler follows
Autoscaler    its manifest, and what it decides

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TOLERANCE = 0.1
_DEFAULT_DOWN_SECONDS = 300.0
_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3}


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure the autoscaler follows.

    Attributes:
        name: The resource's, or the metric's.
        target: What its mean over the pods is to be.
    """

    name: str
    target: float


@dataclass(slots=True)
class Autoscaler:
    """An autoscaler with the memory that its policies need.

    Args:
        manifest: An object of `autoscaling/v2`.
    """

    manifest: Mapping[str, Any]
    metrics: tuple[Metric, ...] = field(init=False)
    _recommended: deque[tuple[float, int]] = field(default_factory=deque, init=False)
    _changes: deque[tuple[float, int]] = field(default_factory=deque, init=False)

    def __post_init__(self) -> None:
        self.metrics = tuple(map(_metric, self.manifest["spec"]["metrics"]))

    def replicas(self, now: float, current: int, seen: Mapping[str, NDArray[np.float64]]) -> int:
        """How many replicas there are to be.

        Args:
            now: Seconds.
            current: Replicas asked for so far, ready or not.
            seen: By metric, its value in each ready pod.
        """
        wanted = [_wanted(metric.target, current, seen[metric.name]) for metric in self.metrics]
        spec = self.manifest["spec"]
        steady = self._stabilized(now, current, max(wanted))
        limited = self._limited(now, current, steady)
        decided = min(max(limited, int(spec["minReplicas"])), int(spec["maxReplicas"]))
        if decided != current:
            self._changes.append((now, decided - current))
        return decided

    def _stabilized(self, now: float, current: int, wanted: int) -> int:
        """The largest recommendation of the window on the way down, the smallest on the way up."""
        up, down = (self._behaviour(way).get("stabilizationWindowSeconds", 0.0) for way in ("scaleUp", "scaleDown"))
        self._recommended.append((now, wanted))
        while self._recommended[0][0] < now - max(up, down):
            self._recommended.popleft()
        lowest = min(value for at, value in self._recommended if at >= now - up)
        highest = max(value for at, value in self._recommended if at >= now - down)
        return lowest if lowest > current else min(current, highest)

    def _limited(self, now: float, current: int, wanted: int) -> int:
        """No further than the policies let a period go, by the one that lets it go furthest."""
        if wanted == current:
            return current
        way = "scaleUp" if wanted > current else "scaleDown"
        sign = 1 if wanted > current else -1
        bounds = []
        for policy in self._behaviour(way).get("policies", []):
            since = now - policy["periodSeconds"]
            start = current - sum(change for at, change in self._changes if at > since and change * sign > 0)
            step = policy["value"] if policy["type"] == "Pods" else start * policy["value"] / 100
            bounds.append(math.ceil(start + step) if sign > 0 else int(start - step))
        if not bounds:
            return wanted
        return min(wanted, max(bounds)) if sign > 0 else max(wanted, min(bounds))

    def _behaviour(self, way: str) -> Mapping[str, Any]:
        default = {"stabilizationWindowSeconds": _DEFAULT_DOWN_SECONDS if way == "scaleDown" else 0.0}
        return {**default, **self.manifest["spec"].get("behavior", {}).get(way, {})}


def _wanted(target: float, current: int, seen: NDArray[np.float64]) -> int:
    """What one metric asks for; pods that are not ready count as idle on the way up, as on target on the way down."""
    if not len(seen):
        return current
    num_absent = current - len(seen)
    ratio = seen.mean() / target
    if num_absent <= 0:
        return current if abs(ratio - 1) <= _TOLERANCE else math.ceil(ratio * len(seen))
    total = seen.sum() + (0.0 if ratio > 1 else num_absent * target)
    weighed = total / current / target
    if abs(weighed - 1) <= _TOLERANCE or (ratio - 1) * (weighed - 1) < 0:
        return current
    wanted = math.ceil(weighed * current)
    return current if (wanted - current) * (weighed - 1) < 0 else wanted


def _metric(entry: Mapping[str, Any]) -> Metric:
    if entry["type"] == "Resource":
        resource = entry["resource"]
        return Metric(resource["name"], resource["target"]["averageUtilization"] / 100)
    return Metric(entry["pods"]["metric"]["name"], _quantity(entry["pods"]["target"]["averageValue"]))


def _quantity(text: str | float) -> float:
    """A number as Kubernetes writes it: 20m is 0.02."""
    digits = str(text).rstrip("".join(_UNITS))
    return float(digits) * _UNITS[str(text)[len(digits) :]]
