"""Evaluation: models beside each other on the same histories of the test period."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.bootstrap import Bootstrap, interval
from training.calibration import sigmoid
from training.config import TrainingConfig
from training.further_inputs import FittedInput
from training.metrics import FloatArray
from training.prefixes import Prefixes
from training.results import (
    CALIBRATION_ERROR,
    GRADIENT_BOOSTING,
    MAIN_METRIC,
    NETWORK,
    Evaluation,
    Figures,
    Interval,
    LengthFigures,
    Scored,
    SliceFigures,
)
from training.samples import Histories, Sampled, sample_figures
from training.slices import each_slice, slice_values
from training.verdict import judge

_LEAST_SEQUENCES = 20
_COMPARED = (NETWORK, GRADIENT_BOOSTING)


def evaluate(
    config: TrainingConfig,
    prefixes: Prefixes,
    risks: Mapping[str, FloatArray],
    seeds: Sequence[int],
    *,
    further_logits: Mapping[str, FloatArray] | None = None,
    further: Sequence[FittedInput] = (),
) -> Evaluation:
    """Compare models by their risks for `prefixes`.

    Args:
        config: What was trained; its seed is that of the bootstrap.
        prefixes: The test period's histories.
        risks: By model, calibrated, float64 (seed, prefix); `network` and `gradient_boosting` are among them. A model
            without a random part has the same row for each seed.
        seeds: The seeds.
        further_logits: What the network says of further labels, by their column, float64 (prefix,); its first seed's.
        further: What models are told beside types and times; the test period is cut by categories of a sequence.
    """
    labels = prefixes.labels.astype(np.float64)
    owners = _owners(prefixes)
    test = Histories(labels, prefixes.strata, owners)
    num_entities = int(owners.max()) + 1
    bootstrap = Bootstrap(num_entities, len(seeds), config.evaluation.resamples, config.seed)

    samples = dict(zip(risks, sample_figures([(test, of) for of in risks.values()], bootstrap), strict=True))
    figures = {model: _figures(of_model, bootstrap) for model, of_model in samples.items()}
    differences = {
        other: _differences(samples[NETWORK], samples[other], bootstrap) for other in samples if other != NETWORK
    }
    verdict, sentence = judge(figures, differences)
    return Evaluation(
        name=config.name,
        predicts=config.predicts,
        seeds=tuple(seeds),
        resamples=bootstrap.num_resamples,
        num_sequences=len(np.unique(prefixes.sequences)),
        num_entities=num_entities,
        num_prefixes=len(prefixes),
        prevalence=float(labels.mean()),
        figures=figures,
        by_seed={model: _by_seed(of_model) for model, of_model in samples.items()},
        differences=differences,
        by_length=() if prefixes.histories == "whole" else _by_length(test, samples, bootstrap),
        by_slice=_by_slice(test, slice_values(prefixes, further), prefixes.sequences, risks, bootstrap),
        verdict=verdict,
        sentence=sentence,
        scored=Scored(
            labels=labels,
            lengths=prefixes.lengths,
            asked_microseconds=prefixes.asked_microseconds,
            has_calendar_time=prefixes.log.has_calendar_time,
            risks=dict(risks),
        ),
        further_labels=_by_further_label(config, test, prefixes, further_logits or {}),
    )


def _owners(prefixes: Prefixes) -> NDArray[np.int64]:
    """Number of each history's entity, or of its sequence where the log names no entities, int64 (prefix,), from 0."""
    entities = prefixes.log.entities
    names = prefixes.sequences if entities is None else entities[prefixes.sequences].astype(str)
    return np.unique(names, return_inverse=True)[1]


def _figures(sampled: Sampled, bootstrap: Bootstrap) -> Figures:
    return _known(
        {
            metric: interval(bootstrap.mean_over_seeds(sample), is_mirrored=metric == CALIBRATION_ERROR)
            for metric, sample in sampled.by_metric.items()
        }
    )


def _differences(first: Sampled, second: Sampled, bootstrap: Bootstrap) -> Figures:
    """First minus second, resample by resample and seed by seed."""
    pairs = {metric: sample - second.by_metric[metric] for metric, sample in first.by_metric.items()}
    return _known({metric: interval(bootstrap.mean_over_seeds(sample)) for metric, sample in pairs.items()})


def _known(intervals: Mapping[str, Interval | None]) -> Figures:
    return {metric: figure for metric, figure in intervals.items() if figure is not None}


def _by_seed(sampled: Sampled) -> dict[str, tuple[float, ...]]:
    return {metric: tuple(sample[0].tolist()) for metric, sample in sampled.by_metric.items()}


def _by_length(test: Histories, samples: Mapping[str, Sampled], bootstrap: Bootstrap) -> tuple[LengthFigures, ...]:
    def roc_auc(sampled: Sampled, column: int) -> Interval | None:
        return interval(bootstrap.mean_over_seeds(sampled.by_stratum[:, :, column]))

    columns = {int(length): column for column, length in enumerate(samples[NETWORK].strata)}
    of_lengths = []
    for length in np.unique(test.strata).tolist():
        is_chosen = test.strata == length
        column, difference, of_models = columns.get(length), None, {}
        if column is not None:
            of_models = _known({model: roc_auc(sampled, column) for model, sampled in samples.items()})
            first, second = (samples[model].by_stratum[:, :, column] for model in _COMPARED)
            difference = interval(bootstrap.mean_over_seeds(first - second))
        of_lengths.append(
            LengthFigures(
                length=length,
                num_prefixes=int(is_chosen.sum()),
                prevalence=float(test.labels[is_chosen].mean()),
                roc_auc=of_models,
                difference=difference,
            )
        )
    return tuple(of_lengths)


def _by_further_label(
    config: TrainingConfig, test: Histories, prefixes: Prefixes, further_logits: Mapping[str, FloatArray]
) -> Figures:
    bootstrap = Bootstrap(int(test.owners.max()) + 1, 1, config.evaluation.resamples, config.seed)
    figures = {}
    for column, logits in further_logits.items():
        labels = prefixes.log.further_labels[column][prefixes.sequences].astype(np.float64)
        is_known = ~np.isnan(labels)
        if not is_known.any():
            continue
        known = Histories(labels, test.strata, test.owners).where(is_known)
        # Of risks between 0 and 1 as all figures want them; their order is that of the logits.
        risks = sigmoid(logits[None, is_known])
        (sampled,) = sample_figures([(known, risks)], bootstrap, has_lift=False)
        figures[column] = _figures(sampled, bootstrap).get(MAIN_METRIC)
    return _known(figures)


def _by_slice(
    test: Histories,
    cut_by: Mapping[str, NDArray[np.object_]],
    sequences: NDArray[np.int64],
    risks: Mapping[str, FloatArray],
    bootstrap: Bootstrap,
) -> tuple[SliceFigures, ...]:
    slices = [
        (column, value, is_chosen) for column, values in cut_by.items() for value, is_chosen in each_slice(values)
    ]
    scored = [(test.where(chosen), risks[model][:, chosen]) for _, _, chosen in slices for model in _COMPARED]
    samples = iter(sample_figures(scored, bootstrap, has_lift=False))
    of_slices = []
    for column, value, is_chosen in slices:
        figures = {model: next(samples) for model in _COMPARED}
        num_sequences = len(np.unique(sequences[is_chosen]))
        if num_sequences < _LEAST_SEQUENCES:
            # Resamples of a handful are all alike, and their intervals far too narrow.
            figures = {}
        of_slices.append(
            SliceFigures(
                column=column,
                value=value,
                num_sequences=num_sequences,
                num_prefixes=int(is_chosen.sum()),
                prevalence=float(test.labels[is_chosen].mean()),
                figures={model: _figures(figures[model], bootstrap) if figures else {} for model in _COMPARED},
                differences=_differences(figures[NETWORK], figures[GRADIENT_BOOSTING], bootstrap) if figures else {},
            )
        )
    return tuple(of_slices)
