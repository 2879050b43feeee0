"""Calibration: a straight line through logits that makes risks come true as often as they say."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMALLEST_SLOPE = 0.01

_MOST_STEPS = 100
_SMALLEST_STEP = 1e-9
_GRADIENT_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Platt:
    """risk = sigmoid(slope * logit + intercept); a positive slope keeps the order of risks."""

    slope: float
    intercept: float

    def risks(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated risks of `logits`, elementwise."""
        return sigmoid(self.slope * logits + self.intercept)


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-logit)), elementwise, for logits of any size."""
    return np.exp(-np.logaddexp(0, -logits))


def fit_platt(logits: NDArray[np.float64], labels: NDArray[np.float32]) -> Platt:
    """Find the line of greatest likelihood (Platt 1999, Advances in Large Margin Classifiers, eq. 9).

    Args:
        logits: float64 (prefix,).
        labels: float32 (prefix,), 0 or 1, both present.

    Returns:
        The line; its slope is at least `SMALLEST_SLOPE`, where logits that rank the labels backwards end up: then
        every risk is close to the share of label 1.
    """
    num_positives = float(labels.sum())
    num_negatives = len(labels) - num_positives
    # Platt's targets: with 0 and 1 themselves, separable logits would have an infinite slope.
    targets = np.where(labels == 1, (num_positives + 1) / (num_positives + 2), 1 / (num_negatives + 2))

    slope, intercept = _fit_logistic(np.column_stack([logits, np.ones_like(logits)]), np.zeros_like(logits), targets)
    if slope < SMALLEST_SLOPE:
        slope = SMALLEST_SLOPE
        (intercept,) = _fit_logistic(np.ones((len(logits), 1)), slope * logits, targets)
    return Platt(float(slope), float(intercept))


def _fit_logistic(
    inputs: NDArray[np.float64], offsets: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Coefficients of greatest likelihood, by Newton steps halved until they help; the likelihood is concave.

    Args:
        inputs: float64 (prefix, coefficient).
        offsets: float64 (prefix,), added to the inputs' weighted sum.
        targets: float64 (prefix,), between 0 and 1.
    """

    def loss(coefficients: NDArray[np.float64]) -> float:
        logits = inputs @ coefficients + offsets
        return float(np.mean(np.logaddexp(0, logits) - targets * logits))

    coefficients = np.zeros(inputs.shape[1])
    for _ in range(_MOST_STEPS):
        risks = sigmoid(inputs @ coefficients + offsets)
        gradient = inputs.T @ (risks - targets) / len(targets)
        curvature = inputs.T @ (inputs * (risks * (1 - risks))[:, None]) / len(targets)
        # Equal logits leave the slope open: the smallest one is as good as any.
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        size = 1.0
        while size > _SMALLEST_STEP and loss(coefficients - size * step) > loss(coefficients):
            size /= 2
        coefficients = coefficients - size * step
        if np.max(np.abs(gradient)) < _GRADIENT_TOLERANCE or size <= _SMALLEST_STEP:
            break
    return coefficients
