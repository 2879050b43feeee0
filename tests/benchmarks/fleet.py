"""Pods that serve a load, second by second: queues, refusals, starts and deaths.

Capacity    what one pod can do
Fleet       many pods behind one Service
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_START_SPREAD = 0.35
_METRIC_WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one pod can do.

    Attributes:
        requests_per_second: That it carries, of one sequence each.
        slots: Requests it works on side by side.
        max_waiting: Requests that may wait; more are refused at once.
        deadline_seconds: Who waited longer is not served.
        start_seconds: Median from being asked for to being ready.
        imbalance: Standard deviation of a pod's share of the load, over the mean: connections live long.
    """

    requests_per_second: float
    slots: int
    max_waiting: int
    deadline_seconds: float
    start_seconds: float
    imbalance: float


@dataclass(slots=True)
class Second:
    """What happened in one second, all pods together.

    Attributes:
        offered: Requests that came.
        refused: Requests that were refused, or died with their pod.
        slow_wait_seconds: Mean wait in the pods that the slowest hundredth of requests met.
        ready: Pods that answer.
        replicas: Pods asked for.
    """

    offered: float
    refused: float
    slow_wait_seconds: float
    ready: int
    replicas: int


@dataclass(slots=True)
class Fleet:
    """Many pods behind one Service; a pod is a row of every array.

    Inside a pod requests arrive at random and take equally long each, so below its capacity the mean wait is that of
    M/D/c, by Sakasegawa's approximation of M/M/c halved; above it the surplus waits, then is refused.
    """

    environment: simpy.Environment
    capacity: Capacity
    draw: np.random.Generator
    replicas: int = 0
    history: list[Second] = field(default_factory=list)
    _weights: Floats = field(default_factory=lambda: np.empty(0))
    _waiting: Floats = field(default_factory=lambda: np.empty(0))
    _waits: Floats = field(default_factory=lambda: np.empty((_METRIC_WINDOW_SECONDS, 0)))
    _busy: Floats = field(default_factory=lambda: np.empty((_METRIC_WINDOW_SECONDS, 0)))

    @property
    def num_ready(self) -> int:
        """Pods that answer."""
        return len(self._weights)

    def scale(self, replicas: int) -> None:
        """Ask for more pods, which take their time, or fewer: the youngest go, after they have finished what waits."""
        for _ in range(replicas - self.replicas):
            self.environment.process(self._start())
        self.replicas = replicas
        if self.num_ready > replicas:
            self._keep(np.arange(self.num_ready) < replicas)

    def begin(self, replicas: int) -> None:
        """Have so many pods ready at once."""
        self.replicas = replicas
        for _ in range(replicas):
            self._add()

    def lose(self, share: float) -> None:
        """A share of the pods dies with what waits there; the Deployment asks for as many again."""
        num_lost = round(self.num_ready * share)
        self.history[-1].refused += float(self._waiting[:num_lost].sum())
        self._keep(np.arange(self.num_ready) >= num_lost)
        for _ in range(num_lost):
            self.environment.process(self._start())

    def serve(self, requests: float) -> None:
        """One second of load."""
        capacity = self.capacity
        arrived = self.draw.poisson(requests * self._weights / self._weights.sum()).astype(float)
        backlog = self._waiting + arrived
        done = np.minimum(backlog, capacity.requests_per_second)
        left = backlog - done
        most = min(capacity.max_waiting, capacity.deadline_seconds * capacity.requests_per_second)
        self._waiting = np.minimum(left, most)
        busy = np.minimum(arrived / capacity.requests_per_second, 0.999)
        crowd = busy ** (np.sqrt(2 * (capacity.slots + 1)) - 1)
        waits = crowd / (capacity.slots * (1 - busy)) / 2 * (capacity.slots / capacity.requests_per_second)
        waits = np.minimum(waits, 1.0) + self._waiting / capacity.requests_per_second
        row = len(self.history) % _METRIC_WINDOW_SECONDS
        self._waits[row], self._busy[row] = waits, done / capacity.requests_per_second
        self.history.append(
            Second(
                offered=float(arrived.sum()),
                refused=float((left - self._waiting).sum()),
                slow_wait_seconds=_weighted_quantile(waits, arrived, 0.99),
                ready=self.num_ready,
                replicas=self.replicas,
            )
        )

    def waits_seconds(self) -> Floats:
        """Of each ready pod, the mean wait of the latest minute."""
        return _mean(self._waits)

    def utilization(self) -> Floats:
        """Of each ready pod, the share of its processors in use over the latest minute."""
        return _mean(self._busy)

    def _start(self) -> Generator[simpy.Event, Any, None]:
        yield self.environment.timeout(self.capacity.start_seconds * self.draw.lognormal(0, _START_SPREAD))
        # Asked for no more.
        if self.num_ready < self.replicas:
            self._add()

    def _add(self) -> None:
        weight = max(self.draw.normal(1, self.capacity.imbalance), 0.1)
        self._weights, self._waiting = np.append(self._weights, weight), np.append(self._waiting, 0.0)
        unknown = np.full((_METRIC_WINDOW_SECONDS, 1), np.nan)
        self._waits, self._busy = np.hstack([self._waits, unknown]), np.hstack([self._busy, unknown])

    def _keep(self, chosen: NDArray[np.bool_]) -> None:
        self._weights, self._waiting = self._weights[chosen], self._waiting[chosen]
        self._waits, self._busy = self._waits[:, chosen], self._busy[:, chosen]


def _mean(window: Floats) -> Floats:
    """Of each column with a value."""
    return np.asarray(np.nanmean(window[:, ~np.isnan(window).all(axis=0)], axis=0))


def _weighted_quantile(values: Floats, weights: Floats, level: float) -> float:
    order = np.argsort(values)
    reached = np.searchsorted(np.cumsum(weights[order]), level * weights.sum())
    return float(values[order][min(reached, len(values) - 1)])
