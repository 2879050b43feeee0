"""The report: one page that says what a model predicts, whether it is any good, and when not to use it.

write_report   evaluation, and the model if there is one -> an HTML file
Trained        what is told of a model beside its evaluation

The page is whole in itself: no script, no address outside it. The same run gives the same bytes.
"""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import keras
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from models.manifest import Draft
from training.config import TrainingConfig
from training.data_report import DataReport
from training.drawing import Drawing
from training.figures import drift, precision_recall, ranking_by_length, reliability, risk_by_length, roc_curve
from training.fit import FitResult
from training.network_figures import decay_curves, embedding_map, training_curves
from training.results import CALIBRATION_ERROR, MAIN_METRIC, NETWORK, Evaluation, Interval, SliceFigures
from training.tuned_config import to_toml

REPORT_FILE = Path("report", "index.html")

METRICS = {
    MAIN_METRIC: "ROC AUC, weighted",
    "roc_auc_pooled": "ROC AUC, pooled",
    "average_precision": "average precision",
    "brier": "Brier score",
    CALIBRATION_ERROR: "calibration error",
    "lift_at_1_percent": "lift at 1\N{NO-BREAK SPACE}%",
    "lift_at_5_percent": "lift at 5\N{NO-BREAK SPACE}%",
    "lift_at_10_percent": "lift at 10\N{NO-BREAK SPACE}%",
}
"""Metrics that the page shows, by their names in an evaluation."""

VERDICTS = {
    "better": "Better than simple counting",
    "not_distinguishable": "Not clearly better than simple counting",
    "worse": "Worse than simple counting",
    "not_predictable": "Not predictable",
}
"""What the page says first, by verdict."""

_TEMPLATE = "report.html.j2"
_LARGEST_CALIBRATION_ERROR = 0.05


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, as far as the page tells of it.

    Attributes:
        config: What was trained, and how.
        network: The network.
        fit: How its fit went.
        data: What its log holds.
        draft: Its description.
    """

    config: TrainingConfig
    network: keras.Model
    fit: FitResult
    data: DataReport
    draft: Draft


def write_report(path: Path, evaluation: Evaluation, trained: Trained | None = None) -> None:
    """Write the page to `path`.

    Args:
        path: `REPORT_FILE` in a staged artifact, or any other.
        evaluation: What was found on the test period.
        trained: The model, unless only figures are to be shown.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(evaluation, trained), encoding="utf-8")


def render(evaluation: Evaluation, trained: Trained | None = None) -> str:
    """The page as HTML; arguments as of `write_report`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"signed": _signed, "svg": Markup, "quantity": _quantity}
    return environment.get_template(_TEMPLATE).render(
        evaluation=evaluation,
        verdict=VERDICTS[evaluation.verdict],
        main=evaluation.figures[NETWORK][MAIN_METRIC],
        network=evaluation.figures[NETWORK],
        metrics=METRICS,
        main_metric=MAIN_METRIC,
        cautions=cautions(evaluation, trained),
        figures=_figures(evaluation),
        model_figures=[] if trained is None else _model_figures(trained),
        slices=_slices(evaluation),
        trained=trained,
        configuration="" if trained is None else to_toml(trained.config, ""),
    )


def _figures(evaluation: Evaluation) -> list[Drawing]:
    drawn = [
        ranking_by_length(evaluation),
        risk_by_length(evaluation),
        reliability(evaluation),
        drift(evaluation),
        roc_curve(evaluation),
        precision_recall(evaluation),
    ]
    return [drawing for drawing in drawn if drawing is not None]


def _model_figures(trained: Trained) -> list[Drawing]:
    drawn = [
        training_curves(trained.fit),
        decay_curves(trained.network, trained.config.network),
        embedding_map(trained.network, trained.draft.reference.event_type_shares),
    ]
    return [drawing for drawing in drawn if drawing is not None]


def _slices(evaluation: Evaluation) -> list[tuple[str, list[SliceFigures]]]:
    """What the test period is cut by, and its parts."""
    by_column = groupby(evaluation.by_slice, key=lambda of_slice: of_slice.column)
    return [(column.replace("_", " "), list(of_column)) for column, of_column in by_column]


def cautions(evaluation: Evaluation, trained: Trained | None) -> list[str]:
    """When not to use the model, as far as figures and description tell."""
    told = [*_ranking_cautions(evaluation), *([] if trained is None else _usage_cautions(trained))]
    error = evaluation.figures[NETWORK][CALIBRATION_ERROR].value
    if error > _LARGEST_CALIBRATION_ERROR:
        told.append(f"Not as a probability: risks are off by {100 * error:.0f} percentage points on average.")
    told.append(
        "Not to say why, nor what would help: a risk tells what followed on histories like it, not what caused it."
    )
    return told


def _ranking_cautions(evaluation: Evaluation) -> list[str]:
    told = []
    if evaluation.verdict == "not_predictable":
        told.append("Not at all: on the test period no model told the labels apart better than chance.")
    elif evaluation.verdict == "worse":
        told.append("Not while gradient boosting on counts and gaps is an alternative: it ranks better.")
    elif evaluation.verdict == "not_distinguishable":
        told.append("Not for the sake of accuracy alone: gradient boosting on counts and gaps may do as well.")
    worse = [
        f"{one.column.replace('_', ' ')} {one.value}"
        for one in evaluation.by_slice
        if MAIN_METRIC in one.differences and one.differences[MAIN_METRIC].upper < 0
    ]
    if worse:
        told.append(f"With care where it ranks worse than gradient boosting: {'; '.join(worse)}.")
    return told


def _usage_cautions(trained: Trained) -> list[str]:
    draft = trained.draft
    told = [
        "Not on another organisation's log: event types outside its vocabulary are all one unknown event to it.",
        f"Not for what came before the latest {draft.max_events} events of a history: it does not see more.",
    ]
    if not draft.scores_between_events:
        told.append("Not long after the last event: it has learnt to answer at the moment of an event only.")
    warnings = sum(finding.severity == "warning" for finding in trained.data.findings)
    if warnings:
        told.append(
            f"Not before the data report's {warnings} warning{'s' if warnings > 1 else ''} below "
            f"{'are' if warnings > 1 else 'is'} explained."
        )
    return told


def _signed(figure: Interval) -> str:
    return f"{figure.value:+.3f} [{figure.lower:+.3f}, {figure.upper:+.3f}]".replace("-", "\N{MINUS SIGN}")


def _quantity(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
