"""Figures of an evaluation: how well risks rank, how true they are, and where and when.

roc_curve            hits against false alarms
precision_recall     precision against recall
reliability          what came true of each risk, with counts
risk_by_length       risks of either label after 1, 2, 3, … events
ranking_by_length    ROC AUC after 1, 2, 3, … events, beside gradient boosting
drift                mean risk and share of label 1 over the calendar
"""

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from training.drawing import (
    BOOSTING_COLOUR,
    FAINT,
    INK,
    LABEL_0_COLOUR,
    LABEL_1_COLOUR,
    NETWORK_COLOUR,
    REGRESSION_COLOUR,
    Drawing,
    axes,
    to_svg,
)
from training.metrics import NUM_CALIBRATION_BINS, FloatArray, calibration_bins
from training.results import GRADIENT_BOOSTING, LOGISTIC_REGRESSION, NETWORK, Evaluation, Scored

MODELS = {
    NETWORK: ("network", NETWORK_COLOUR, 2.0),
    GRADIENT_BOOSTING: ("gradient boosting", BOOSTING_COLOUR, 1.3),
    LOGISTIC_REGRESSION: ("logistic regression", REGRESSION_COLOUR, 1.0),
}
"""Models that are drawn: name, colour and width of their lines."""

_SQUARE = (4.1, 3.8)
_WIDE = (7.4, 3.4)
_PERIODS = {"D": "day", "W": "week", "M": "month"}
_MOST_PERIODS = 30
_POINTS = np.linspace(0, 1, 201)
_NORMAL_QUANTILE = 1.959963984540054


def roc_curve(evaluation: Evaluation) -> Drawing:
    """The share of label 1 found at each share of false alarms."""
    with axes(*_SQUARE) as (plot,):
        plot.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        for model, found, false_alarms, _ in _curves(evaluation):
            name, colour, width = MODELS[model]
            area = evaluation.figures[model]["roc_auc_pooled"].value
            hits = np.interp(_POINTS, false_alarms, found)
            plot.plot(_POINTS, hits, color=colour, linewidth=width, label=f"{name}, area {area:.3f}")
        plot.set(xlabel="share of label 0 flagged (false alarms)", ylabel="share of label 1 flagged (hits)")
        plot.legend(loc="lower right")
        return Drawing(
            "roc",
            "ROC curve",
            "Flag every history above some risk: how many of those with label 1 are caught, at how many false alarms. "
            "The dotted line is chance. All lengths together, so telling long histories from short ones counts too.",
            to_svg(plot, "roc", "ROC curve"),
        )


def precision_recall(evaluation: Evaluation) -> Drawing:
    """The share of true alarms at each share of label 1 found."""
    with axes(*_SQUARE) as (plot,):
        plot.axhline(evaluation.prevalence, color=INK, linewidth=0.8, linestyle=":")
        for model, found, _, precision in _curves(evaluation):
            name, colour, width = MODELS[model]
            area = evaluation.figures[model]["average_precision"].value
            precise = np.interp(_POINTS[1:], found, precision)
            plot.plot(_POINTS[1:], precise, color=colour, linewidth=width, label=f"{name}, average {area:.3f}")
        plot.set(xlabel="share of label 1 flagged (recall)", ylabel="share of flagged with label 1 (precision)")
        plot.set_ylim(0, 1.02)
        plot.legend(loc="best")
        return Drawing(
            "precision-recall",
            "Precision and recall",
            "Of the histories flagged, how many deserve it, at each share of label 1 caught. The dotted line is what "
            f"flagging at random gives: {evaluation.prevalence:.1%}.",
            to_svg(plot, "precision-recall", "Precision and recall"),
        )


def reliability(evaluation: Evaluation) -> Drawing:
    """Risks beside what came true."""
    scored = evaluation.scored
    with axes(4.6, 5.2, rows=2, heights=(3.2, 1.0)) as (plot, counts):
        plot.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        for model in (GRADIENT_BOOSTING, NETWORK):
            name, colour, width = MODELS[model]
            mean, share, margin = _reliability(scored.labels, scored.risks[model][0])
            if model == NETWORK:
                plot.errorbar(mean, share, margin, color=colour, elinewidth=1.0, linestyle="none")
                plot.plot(mean, share, color=colour, linewidth=width, marker="o", markersize=4, label=name)
            else:
                plot.plot(mean, share, color=colour, linewidth=width, marker="s", markersize=3, label=name)
        plot.set(ylabel="share with label 1", ylim=(-0.02, 1.02))
        plot.legend(loc="upper left")
        counts.hist(scored.risks[NETWORK][0], bins=np.linspace(0, 1, 51).tolist(), color=NETWORK_COLOUR, alpha=0.6)
        counts.set(xlabel="risk", ylabel="histories", xlim=(-0.02, 1.02))
        return Drawing(
            "reliability",
            "Reliability",
            f"Histories in {NUM_CALIBRATION_BINS} groups of equal size by their risk, equal risks together: on the "
            "dotted line they come true. Bars are 95 % intervals as for independent histories, and so a little narrow. "
            "Below, how many histories have which risk.",
            to_svg(plot, "reliability", "Reliability diagram with counts"),
        )


def risk_by_length(evaluation: Evaluation) -> Drawing:
    """Quartiles of risks by label and number of events."""
    scored, risks = evaluation.scored, evaluation.scored.risks[NETWORK][0]
    with axes(*_WIDE) as (plot,):
        for label, colour in ((1, LABEL_1_COLOUR), (0, LABEL_0_COLOUR)):
            of_label = scored.labels == label
            lengths = np.unique(scored.lengths[of_label])
            quartiles = np.array(
                [np.quantile(risks[of_label & (scored.lengths == length)], [0.25, 0.5, 0.75]) for length in lengths]
            )
            plot.fill_between(lengths, quartiles[:, 0], quartiles[:, 2], color=colour, alpha=0.18, linewidth=0)
            plot.plot(lengths, quartiles[:, 1], color=colour, marker="o", markersize=3, label=f"label {label}")
        plot.set(xlabel="events in the history", ylabel="risk")
        plot.set_ylim(bottom=0)
        plot.xaxis.set_major_locator(MaxNLocator(integer=True))
        plot.legend(loc="best")
        return Drawing(
            "risk-by-length",
            "Risk by length of the history",
            "Median and middle half of the network's risks for sequences that ended with label 1 and with label 0, "
            "after so many events. The further apart, and the earlier, the better.",
            to_svg(plot, "risk-by-length", "Risk by length of the history"),
        )


def ranking_by_length(evaluation: Evaluation) -> Drawing | None:
    """ROC AUC by number of events with intervals; None where no length holds both labels."""
    of_lengths = [one for one in evaluation.by_length if NETWORK in one.roc_auc and GRADIENT_BOOSTING in one.roc_auc]
    if not of_lengths:
        return None
    lengths = [one.length for one in of_lengths]
    with axes(7.4, 4.2, rows=2, heights=(3.0, 1.0)) as (plot, counts):
        plot.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
        for model in (GRADIENT_BOOSTING, NETWORK):
            name, colour, width = MODELS[model]
            figures = [one.roc_auc[model] for one in of_lengths]
            lower, upper = [figure.lower for figure in figures], [figure.upper for figure in figures]
            plot.fill_between(lengths, lower, upper, color=colour, alpha=0.15, linewidth=0)
            values = [figure.value for figure in figures]
            plot.plot(lengths, values, color=colour, linewidth=width, marker="o", markersize=3, label=name)
        plot.set(ylabel="ROC AUC")
        plot.legend(loc="best")
        counts.bar(lengths, [one.num_prefixes for one in of_lengths], color=FAINT, edgecolor=INK, linewidth=0.4)
        counts.set(xlabel="events in the history", ylabel="histories")
        counts.xaxis.set_major_locator(MaxNLocator(integer=True))
        return Drawing(
            "ranking-by-length",
            "Ranking by length of the history",
            "How well histories of the same length are told apart, with 95 % intervals; the dotted line is chance. "
            "The mean of these, weighted by the bars below, is the weighted ROC AUC.",
            to_svg(plot, "ranking-by-length", "ROC AUC by length of the history"),
        )


def drift(evaluation: Evaluation) -> Drawing | None:
    """Mean risk and share of label 1 over the test period; None where times are no dates."""
    scored = evaluation.scored
    if not scored.has_calendar_time:
        return None
    moments, period, of_histories = _periods(scored)
    mean = _means(scored.risks[NETWORK][0], of_histories, len(moments))
    share = _means(scored.labels, of_histories, len(moments))
    with axes(*_WIDE, rows=2, heights=(3.0, 1.0)) as (plot, counts):
        plot.plot(moments, mean, color=NETWORK_COLOUR, linewidth=2.0, marker="o", markersize=3, label="mean risk")
        plot.plot(moments, share, color=LABEL_1_COLOUR, marker="s", markersize=3, label="share with label 1")
        top = float(np.nanmax([mean, share]))
        plot.set(ylabel="risk", ylim=(0, min(1.05, 1.2 * top)))
        plot.legend(loc="best")
        widths = 0.8 * np.diff(moments, append=moments[-1] + np.diff(moments).min(initial=31))
        counts.bar(
            moments, np.bincount(of_histories), width=float(widths.min()), color=FAINT, edgecolor=INK, linewidth=0.4
        )
        counts.set(ylabel="histories")
        counts.xaxis_date()
        return Drawing(
            "drift",
            "Risk over time",
            f"Mean risk of the histories asked about in each {period}, and what came true of them. Where the lines "
            "part, the world has moved away from what the model learnt; the last periods hold long sequences only.",
            to_svg(plot, "drift", "Mean risk and share of label 1 over time"),
        )


def _curves(evaluation: Evaluation) -> list[tuple[str, FloatArray, FloatArray, FloatArray]]:
    """By model, a point a distinct risk, descending: shares of label 1 and of label 0 flagged, and precision."""
    curves = []
    labels = evaluation.scored.labels
    for model in reversed([model for model in MODELS if model in evaluation.scored.risks]):
        risks = evaluation.scored.risks[model][0]
        order = np.argsort(-risks, kind="stable")
        is_last = np.append(np.diff(risks[order]) != 0, True)
        hits, flagged = np.cumsum(labels[order])[is_last], np.flatnonzero(is_last) + 1
        found = np.concatenate([[0.0], hits / labels.sum()])
        false_alarms = np.concatenate([[0.0], (flagged - hits) / (1 - labels).sum()])
        precision = hits / flagged
        curves.append((model, found, false_alarms, np.concatenate([precision[:1], precision])))
    return curves


def _reliability(labels: FloatArray, risks: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """By group: mean risk, share of label 1, and the margins below and above it, (2, group), of Wilson's interval.

    Wilson 1927, Journal of the American Statistical Association 22(158).
    """
    _, bins, count = np.unique(calibration_bins(risks), return_inverse=True, return_counts=True)
    mean, share = np.bincount(bins, risks) / count, np.bincount(bins, labels) / count
    square = _NORMAL_QUANTILE**2
    centre = (share + square / (2 * count)) / (1 + square / count)
    half = _NORMAL_QUANTILE * np.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    margins = np.stack([share - (centre - half), centre + half - share])
    return mean, share, np.maximum(margins, 0.0)


def _periods(scored: Scored) -> tuple[FloatArray, str, NDArray[np.int64]]:
    """Starts of the periods in days since 1970, their name, and the period of each history.

    Periods are days, weeks or months, the first of which there are at most thirty.
    """
    asked = scored.asked_microseconds.astype("datetime64[us]")
    numbers = {unit: asked.astype(f"datetime64[{unit}]").astype(np.int64) for unit in _PERIODS}
    fitting = [unit for unit, number in numbers.items() if np.ptp(number) < _MOST_PERIODS]
    unit = fitting[0] if fitting else "M"
    distinct, of_histories = np.unique(numbers[unit], return_inverse=True)
    return distinct.astype(f"datetime64[{unit}]").astype("datetime64[D]").astype(float), _PERIODS[unit], of_histories


def _means(values: FloatArray, groups: NDArray[np.int64], num_groups: int) -> FloatArray:
    return np.bincount(groups, values, num_groups) / np.bincount(groups, minlength=num_groups)
