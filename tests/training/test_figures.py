import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.training.evaluations import evaluation
from training.drawing import Drawing
from training.figures import (
    _curves,
    _reliability,
    drift,
    precision_recall,
    ranking_by_length,
    reliability,
    risk_by_length,
    roc_curve,
)
from training.results import NETWORK, Evaluation

FIGURES = (roc_curve, precision_recall, reliability, risk_by_length, ranking_by_length, drift)


def of_one_history_a_label() -> Evaluation:
    whole = evaluation()
    chosen = [int(np.argmax(whole.scored.labels)), int(np.argmin(whole.scored.labels))]
    scored = whole.scored
    return replace(
        whole,
        by_length=(),
        scored=replace(
            scored,
            labels=scored.labels[chosen],
            lengths=scored.lengths[chosen],
            asked_microseconds=scored.asked_microseconds[chosen],
            risks={model: risks[:, chosen] for model, risks in scored.risks.items()},
        ),
    )


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_draws_the_network_in_lines_that_go_somewhere(
    figure: Callable[[Evaluation], Drawing | None],
) -> None:
    drawing = figure(evaluation())

    assert drawing is not None
    lines = re.findall(r'<path d="([^"]+)"[^>]*style="fill: none; stroke: var\(--(?:network|label-1)\)', drawing.svg)
    assert max(line.count("L") for line in lines) >= 5
    assert drawing.title
    assert drawing.caption


@pytest.mark.parametrize("figure", FIGURES)
def test_a_test_period_of_two_histories_is_drawn_too(figure: Callable[[Evaluation], Drawing | None]) -> None:
    drawing = figure(of_one_history_a_label())

    assert (drawing is None) == (figure is ranking_by_length)


def test_there_is_no_drift_where_times_are_no_dates() -> None:
    assert drift(evaluation(has_dates=False)) is None


def test_curves_take_equal_risks_together() -> None:
    whole = evaluation()
    labels = np.array([1.0, 0.0, 1.0, 0.0])
    scored = replace(whole.scored, labels=labels, risks={NETWORK: np.array([[0.9, 0.5, 0.5, 0.1]])})

    ((_, found, false_alarms, precision),) = _curves(replace(whole, scored=scored))

    assert found.tolist() == [0.0, 0.5, 1.0, 1.0]
    assert false_alarms.tolist() == [0.0, 0.0, 0.5, 1.0]
    assert precision == pytest.approx([1.0, 1.0, 2 / 3, 0.5])


def test_a_group_of_the_reliability_diagram_has_wilsons_interval() -> None:
    mean, share, margin = _reliability(np.tile([1.0, 0.0, 0.0, 0.0], 30), np.linspace(0.2, 0.3, 120))

    assert len(mean) == 15
    assert (np.diff(mean) > 0).all()
    # Two of eight; statsmodels' proportion_confint(2, 8, method="wilson") gives 0.0715 to 0.5907.
    assert share == pytest.approx(np.full(15, 0.25))
    assert margin[:, 0] == pytest.approx([0.25 - 0.0715, 0.5907 - 0.25], abs=1e-3)


def test_equal_risks_are_one_group_of_the_reliability_diagram_in_whatever_order_they_come() -> None:
    mean, share, _ = _reliability(np.repeat([1.0, 0.0], [30, 90]), np.full(120, 0.25))

    assert (mean.tolist(), share.tolist()) == ([0.25], [0.25])
