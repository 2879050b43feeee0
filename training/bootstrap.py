"""The bootstrap: what figures would have been with other entities in the test period and other seeds of the fit.

A resample draws as many entities as there are, with replacement, and every history of an entity comes with it: the
histories of one sequence, and the sequences of one customer, are not independent (the cluster bootstrap of Davison and
Hinkley 1997, Bootstrap Methods and their Application, §3.8). With S > 1 seeds it also draws S - 1 of them and takes
the mean over these: the mean over S drawn ones would vary by a factor (S - 1) / S too little (Rao and Wu 1988, JASA
83).
Entities and seeds are the same for all models, so differences are paired. The training period is taken as given.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics import Weights
from training.results import Interval

CONFIDENCE = 0.95

# Pieces of this many weights stay in the processor's cache.
_WEIGHTS_A_PIECE = 1_000_000


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Resamples of one test period; row 0 of everything is the test period itself.

    Attributes:
        num_owners: Entities that may be drawn.
        num_seeds: Seeds that may be drawn.
        num_resamples: How often.
        seed: Seed of the draws.
    """

    num_owners: int
    num_seeds: int
    num_resamples: int
    seed: int

    def weights(self, num_prefixes: int) -> Iterator[Weights]:
        """How often each entity is drawn, int32 (resample, owner), in pieces.

        Args:
            num_prefixes: Histories that the weights are to be applied to at once.
        """
        generator = np.random.default_rng(self.seed)
        most_rows = max(_WEIGHTS_A_PIECE // max(num_prefixes, self.num_owners), 1)
        yield np.ones((1, self.num_owners), np.int32)
        for first in range(0, self.num_resamples, most_rows):
            num_rows = min(most_rows, self.num_resamples - first)
            drawn = generator.integers(self.num_owners, size=(num_rows, self.num_owners))
            cells = drawn + np.arange(num_rows)[:, None] * self.num_owners
            counts = np.bincount(cells.ravel(), minlength=num_rows * self.num_owners)
            yield counts.reshape(num_rows, self.num_owners).astype(np.int32)

    def mean_over_seeds(self, figures: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over all seeds in row 0, over drawn ones in the others.

        Args:
            figures: float64 (1 + resample, seed); not a number where a resample lacks a class.

        Returns:
            float64 (1 + resample,).
        """
        if self.num_seeds == 1:
            return figures[:, 0]
        generator = np.random.default_rng([self.seed, 1])
        drawn = generator.integers(self.num_seeds, size=(self.num_resamples, self.num_seeds - 1))
        resampled = np.take_along_axis(figures[1:], drawn, axis=1).mean(axis=1)
        return np.append(figures[0].mean(), resampled)


def interval(sample: NDArray[np.float64], *, is_mirrored: bool = False) -> Interval | None:
    """The first figure with quantiles of the others; None where the test period itself has none.

    Resamples without both classes have no figure and are left out.

    Args:
        sample: float64 (1 + resample,).
        is_mirrored: For figures of at least 0 that chance makes larger, and resampling larger again: quantiles may then
            all lie above the figure, and are mirrored at it (the basic interval: Davison & Hinkley 1997, Bootstrap
            Methods and their Application, §5.2.1).
    """
    known = sample[1:][~np.isnan(sample[1:])]
    if np.isnan(sample[0]) or not len(known):
        return None
    tail = (1 - CONFIDENCE) / 2
    lower, upper = np.quantile(known, [tail, 1 - tail])
    if is_mirrored:
        lower, upper = max(0.0, 2 * sample[0] - upper), max(0.0, 2 * sample[0] - lower)
    return Interval(float(sample[0]), float(lower), float(upper))
