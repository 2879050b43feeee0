"""How far the challenger agrees with the champion: differences, bands and ranks of their risks."""

import math
import threading
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.manifest import Band
from service.metrics import Metrics

# Enough for a rank correlation that is good to a few hundredths, and sorted in less than a millisecond.
WINDOW_SEQUENCES = 1_000


class Agreement:
    """Compares risks of the same sequences by two versions; any thread may call it.

    Args:
        metrics: Where it is told.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._window: deque[tuple[float, float]] = deque(maxlen=WINDOW_SEQUENCES)

    def observe(
        self,
        champion_risks: NDArray[np.float32],
        champion_bands: Sequence[Band],
        challenger_risks: NDArray[np.float32],
        challenger_bands: Sequence[Band],
    ) -> None:
        """Compare risks, both float32 (batch,), each in the bands of its own version."""
        for difference in np.abs(champion_risks - challenger_risks).tolist():
            self._metrics.challenger_risk_difference.observe(difference)
        is_same = band_names(champion_risks, champion_bands) == band_names(challenger_risks, challenger_bands)
        num_same = int(np.count_nonzero(is_same))
        self._metrics.challenger_bands.labels("same").inc(num_same)
        self._metrics.challenger_bands.labels("different").inc(len(is_same) - num_same)
        with self._lock:
            self._window.extend(zip(champion_risks.tolist(), challenger_risks.tolist(), strict=True))

    def forget(self) -> None:
        """Begin a new window: another champion answers."""
        with self._lock:
            self._window.clear()

    def rank_correlation(self) -> float:
        """Spearman's rank correlation over the window (Spearman 1904, Am. J. Psychol. 15); NaN while it has none."""
        with self._lock:
            pairs = np.array(self._window, np.float64).reshape(-1, 2)
        champion_ranks, challenger_ranks = _ranks(pairs[:, 0]), _ranks(pairs[:, 1])
        spread = math.sqrt(np.sum(champion_ranks**2) * np.sum(challenger_ranks**2))
        return float(np.sum(champion_ranks * challenger_ranks) / spread) if spread > 0 else math.nan


def band_names(risks: NDArray[np.float32], bands: Sequence[Band]) -> NDArray[np.str_]:
    """Name of the band each risk lies in, (batch,)."""
    places = np.searchsorted([band.lower_risk for band in bands], risks, side="right") - 1
    return np.array([band.name for band in bands])[places]


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks about their mean; equal values share the mean of the ranks they take up."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last_ranks = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last_ranks - (counts - 1) / 2)[places]
    return ranks - ranks.mean() if len(ranks) else ranks
