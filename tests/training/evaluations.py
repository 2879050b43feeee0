"""An evaluation of a test period that never was, for tests of what is made from one."""

import numpy as np

from training.results import (
    GRADIENT_BOOSTING,
    LOGISTIC_REGRESSION,
    NETWORK,
    Evaluation,
    Interval,
    LengthFigures,
    Scored,
    SliceFigures,
)

NUM_PREFIXES = 600
METRICS = {
    "roc_auc_weighted": 0.7,
    "roc_auc_pooled": 0.72,
    "average_precision": 0.5,
    "brier": 0.2,
    "expected_calibration_error": 0.03,
    "lift_at_1_percent": 3.0,
    "lift_at_5_percent": 2.5,
    "lift_at_10_percent": 2.0,
}
MICROSECONDS_PER_DAY = 86_400_000_000
FIRST_OF_MAY_2026 = 20_574 * MICROSECONDS_PER_DAY


def around(value: float) -> Interval:
    return Interval(value, value - 0.02, value + 0.02)


def evaluation(
    name: str = "refunds", predicts: str = "this customer will leave", value: str = "2026-05", *, has_dates: bool = True
) -> Evaluation:
    """Risks that know something of the labels, for histories of one to six events over two months.

    Args:
        name: Of the model.
        predicts: What label 1 means.
        value: What the sequences of a slice share.
        has_dates: Whether times are dates.
    """
    generator = np.random.default_rng(0)
    labels = (generator.random(NUM_PREFIXES) < 0.4).astype(np.float64)
    lengths = generator.integers(1, 7, NUM_PREFIXES)
    models = (NETWORK, GRADIENT_BOOSTING, LOGISTIC_REGRESSION)
    risks = {
        model: np.clip(0.3 + 0.2 * labels + 0.15 * generator.standard_normal((1, NUM_PREFIXES)), 0.01, 0.99)
        for model in models
    }
    figures = {metric: around(figure) for metric, figure in METRICS.items()}
    differences = {metric: around(0.0) for metric in METRICS}
    return Evaluation(
        name=name,
        predicts=predicts,
        seeds=(1,),
        resamples=1000,
        num_sequences=200,
        num_entities=200,
        num_prefixes=NUM_PREFIXES,
        prevalence=float(labels.mean()),
        figures=dict.fromkeys(models, figures),
        by_seed={model: {metric: (figure,) for metric, figure in METRICS.items()} for model in models},
        differences=dict.fromkeys(models[1:], differences),
        by_length=tuple(
            LengthFigures(length, 100, 0.4, dict.fromkeys(models, around(0.6 + length / 50)), around(0.0))
            for length in range(1, 7)
        ),
        by_slice=(
            SliceFigures(
                column="month",
                value=value,
                num_sequences=80,
                num_prefixes=300,
                prevalence=0.4,
                figures=dict.fromkeys(models[:2], figures),
                differences={"roc_auc_weighted": around(-0.05)},
            ),
            SliceFigures("month", "2026-06", 120, 300, 1.0, {model: {} for model in models[:2]}, {}),
        ),
        verdict="not_distinguishable",
        sentence="Not distinguishable from aggregates: the interval of the difference holds 0.",
        scored=Scored(
            labels=labels,
            lengths=lengths,
            asked_microseconds=FIRST_OF_MAY_2026 + generator.integers(0, 61 * MICROSECONDS_PER_DAY, NUM_PREFIXES),
            has_calendar_time=has_dates,
            risks=risks,
        ),
    )
