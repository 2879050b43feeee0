"""Results: what an evaluation found, as values that a table, a report and a JSON file are made from.

Evaluation      everything found on one test period
Interval        a figure with the bounds of its 95 % interval
LengthFigures   ROC AUC among histories of one length
SliceFigures    figures of one part of the test period: a calendar month, a first event type, a value of a column
Scored          what the figures were computed from: labels and risks of every history
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

NETWORK = "network"
NETWORK_WITHOUT_TIME = "network_without_time"
NETWORK_SHUFFLED_ORDER = "network_shuffled_order"
LOGISTIC_REGRESSION = "logistic_regression"
LOGISTIC_REGRESSION_WITHOUT_TIME = "logistic_regression_without_time"
GRADIENT_BOOSTING = "gradient_boosting"
GRADIENT_BOOSTING_WITHOUT_TIME = "gradient_boosting_without_time"

MAIN_METRIC = "roc_auc_weighted"
CALIBRATION_ERROR = "expected_calibration_error"

Verdict = Literal["better", "not_distinguishable", "worse", "not_predictable"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the bounds of its 95 % interval.

    Attributes:
        value: Mean over seeds on the test period itself.
        lower: 2.5 % quantile over resamples.
        upper: 97.5 % quantile over resamples.
    """

    value: float
    lower: float
    upper: float


Figures = dict[str, Interval]
"""Figures by metric; a metric that needs both classes is missing where there is only one."""


@dataclass(frozen=True, slots=True)
class LengthFigures:
    """ROC AUC among histories of one length.

    Attributes:
        length: Events of each history.
        num_prefixes: How many histories have it.
        prevalence: Share of label 1 among them.
        roc_auc: By model; empty where there is one class only.
        difference: The network's ROC AUC minus gradient boosting's; None where there is one class only.
    """

    length: int
    num_prefixes: int
    prevalence: float
    roc_auc: Figures
    difference: Interval | None


@dataclass(frozen=True, slots=True)
class SliceFigures:
    """Figures of one part of the test period.

    Attributes:
        column: What it is cut by: `month`, `first_event_type`, or an input of one category a sequence.
        value: The value all its sequences share; "(others)" for rare ones together.
        num_sequences: Sequences with a history in it.
        num_prefixes: Its histories.
        prevalence: Share of label 1 among them.
        figures: By model (the network and gradient boosting), then by metric; none of a handful of sequences.
        differences: The network minus gradient boosting, by metric.
    """

    column: str
    value: str
    num_sequences: int
    num_prefixes: int
    prevalence: float
    figures: dict[str, Figures]
    differences: Figures


@dataclass(frozen=True, slots=True)
class Scored:
    """The test period's histories with every model's risks.

    Attributes:
        labels: float64 (prefix,), 0 or 1.
        lengths: int64 (prefix,), events of the history.
        asked_microseconds: int64 (prefix,), the moment scored; since 1970 if `has_calendar_time`.
        has_calendar_time: Whether those moments are dates.
        risks: By model, calibrated, float64 (seed, prefix).
    """

    labels: NDArray[np.float64]
    lengths: NDArray[np.int64]
    asked_microseconds: NDArray[np.int64]
    has_calendar_time: bool
    risks: dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found on one test period.

    Attributes:
        name: The model's name in the configuration.
        predicts: What label 1 means.
        seeds: Seeds of the fits; with several, figures are means over them.
        resamples: Bootstrap resamples behind each interval.
        num_sequences: Sequences of the test period.
        num_entities: What the bootstrap drew: entities, or sequences where the log names none.
        num_prefixes: Histories scored.
        prevalence: Share of label 1 among them.
        figures: By model, then by metric; the network first.
        by_seed: The figures of each seed, in order of `seeds`, by model, then by metric.
        differences: The network minus the other model, by the other's name, then by metric; resampled in pairs.
        by_length: One a length, ascending; none where each sequence is asked once, at its end.
        by_slice: One a part, together by what they are cut by.
        verdict: How the network stands to gradient boosting in weighted ROC AUC.
        sentence: The verdict in plain words.
        scored: What all this was computed from.
        further_labels: The network's weighted ROC AUC for each further label, by its column, where both classes are.
    """

    name: str
    predicts: str
    seeds: tuple[int, ...]
    resamples: int
    num_sequences: int
    num_entities: int
    num_prefixes: int
    prevalence: float
    figures: dict[str, Figures]
    by_seed: dict[str, dict[str, tuple[float, ...]]]
    differences: dict[str, Figures]
    by_length: tuple[LengthFigures, ...]
    by_slice: tuple[SliceFigures, ...]
    verdict: Verdict
    sentence: str
    scored: Scored
    further_labels: Figures = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, the network first."""
        return tuple(self.figures)

    def to_json(self) -> dict[str, Any]:
        """Everything but `scored`, in types that JSON knows."""
        return {one.name: _plain(getattr(self, one.name)) for one in fields(self) if one.name != "scored"}

    def write(self, path: Path) -> None:
        """Write the figures to `path`, a `.json` file, and `scored` beside it, with the suffix `.npz`."""
        scored = self.scored
        arrays: dict[str, Any] = {_RISKS + model: risks for model, risks in scored.risks.items()}
        arrays |= {"labels": scored.labels, "lengths": scored.lengths, "asked_microseconds": scored.asked_microseconds}
        with path.with_suffix(".npz").open("wb") as file:
            np.savez_compressed(file, has_calendar_time=np.array(scored.has_calendar_time), **arrays)
        path.write_text(json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Evaluation":
        """What `write` wrote to `path`."""
        told = json.loads(path.read_text(encoding="utf-8"))
        with np.load(path.with_suffix(".npz")) as arrays:
            scored = Scored(
                labels=arrays["labels"],
                lengths=arrays["lengths"],
                asked_microseconds=arrays["asked_microseconds"],
                has_calendar_time=bool(arrays["has_calendar_time"]),
                risks={model: arrays[_RISKS + model] for model in told["figures"]},
            )
        return cls(
            **{key: told[key] for key in _AS_THEY_ARE},
            seeds=tuple(told["seeds"]),
            figures={model: _figures(of_model) for model, of_model in told["figures"].items()},
            by_seed={
                model: {metric: tuple(values) for metric, values in of_model.items()}
                for model, of_model in told["by_seed"].items()
            },
            differences={model: _figures(of_model) for model, of_model in told["differences"].items()},
            by_length=tuple(_length_figures(of_length) for of_length in told["by_length"]),
            by_slice=tuple(_slice_figures(of_slice) for of_slice in told["by_slice"]),
            scored=scored,
            further_labels=_figures(told["further_labels"]),
        )


_RISKS = "risks_"
_AS_THEY_ARE = (
    "name",
    "predicts",
    "resamples",
    "num_sequences",
    "num_entities",
    "num_prefixes",
    "prevalence",
    "verdict",
    "sentence",
)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return asdict(value) if isinstance(value, (Interval, LengthFigures, SliceFigures)) else value


def _figures(told: Mapping[str, Mapping[str, float]]) -> Figures:
    return {metric: Interval(**interval) for metric, interval in told.items()}


def _length_figures(told: Mapping[str, Any]) -> LengthFigures:
    difference = told["difference"]
    read = {"roc_auc": _figures(told["roc_auc"]), "difference": difference and Interval(**difference)}
    return LengthFigures(**{**told, **read})


def _slice_figures(told: Mapping[str, Any]) -> SliceFigures:
    figures = {model: _figures(of_model) for model, of_model in told["figures"].items()}
    return SliceFigures(**{**told, "figures": figures, "differences": _figures(told["differences"])})
