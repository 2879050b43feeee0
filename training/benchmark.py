"""The benchmark: evaluations of all contenders on every event log of a directory.

Subject         one log, and the configuration that it is evaluated with
find_subjects   a directory -> its subjects
evaluate_log    one subject -> results.Evaluation, resuming what was broken off
run_benchmark   all subjects -> a JSON file and a page each, a table each, and a summary

A log `NAME.csv` (or .csv.gz, .parquet, .xes, .xes.gz) is evaluated once with each configuration `NAME.toml` and
`NAME.VARIANT.toml` beside it; without one, with those of `training/evaluations`; without any, with the defaults.
"""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.console import Console

from training.config import ConfigError, TrainingConfig
from training.contenders import BASELINES, CONTENDERS, fit_contender
from training.data_config import DataConfig
from training.descent import FitError
from training.evaluation import evaluate
from training.log_reading import read_event_log
from training.metrics import weighted_roc_auc
from training.parts import Parts, cut_parts
from training.progress import FitsProgress
from training.report import write_report
from training.results import GRADIENT_BOOSTING, NETWORK, Evaluation
from training.risk_store import RiskStore, fingerprint
from training.rows import EventLogError
from training.splits import split_by_time
from training.tables import show_evaluation, show_summary, show_targets
from training.targets import TARGETS, measure

SHIPPED = Path(__file__).parent / "evaluations"

_LOG_SUFFIX = re.compile(r"\.(csv|csv\.gz|parquet|xes|xes\.gz)$")


class BenchmarkError(RuntimeError):
    """There is nothing to evaluate, or some of it could not be."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A log to be evaluated.

    Attributes:
        name: The configuration's file name, or the log's, without suffixes.
        log_path: The log.
        config: What is trained on it.
    """

    name: str
    log_path: Path
    config: TrainingConfig


def run_benchmark(
    subjects: Sequence[Subject], output: Path, num_seeds: int, models: Sequence[str], console: Console
) -> list[Evaluation]:
    """Evaluate `subjects`, one after the other.

    Args:
        subjects: Of `find_subjects`.
        output: Where the JSON files and pages go; finished fits are kept there, too.
        num_seeds: Seeds of the networks, from the configuration's on.
        models: Which contenders.
        console: Where to show progress.

    Raises:
        BenchmarkError: Some logs could not be evaluated; the others were.
    """
    tf.config.experimental.enable_op_determinism()
    output.mkdir(parents=True, exist_ok=True)
    evaluations, faults = [], []
    for subject in subjects:
        console.rule(subject.name)
        try:
            evaluation = evaluate_log(subject, output, num_seeds, models, console)
        except (EventLogError, FitError) as error:
            faults.append(f"{subject.name}: {error}")
            console.print(str(error))
            continue
        evaluation.write(output / f"{subject.name}.json")
        write_report(output / f"{subject.name}.html", evaluation)
        show_evaluation(console, evaluation)
        show_targets(console, TARGETS.get(subject.name, ()), evaluation)
        evaluations.append(evaluation)
    if len(subjects) > 1 and evaluations:
        show_summary(console, evaluations)
    evaluated = [subject for subject in subjects if not any(fault.startswith(f"{subject.name}:") for fault in faults)]
    _write_summary(output / "summary.json", dict(zip([one.name for one in evaluated], evaluations, strict=True)))
    if faults:
        raise BenchmarkError(f"Expected logs that can be trained on. Received: {' '.join(faults)}")
    return evaluations


def evaluate_log(subject: Subject, output: Path, num_seeds: int, models: Sequence[str], console: Console) -> Evaluation:
    """Fit what is still to be fitted, then compare all risks.

    Args:
        subject: The log.
        output: Where risks of finished fits are kept.
        num_seeds: Seeds of the networks.
        models: Which contenders.
        console: Where to show progress.

    Raises:
        EventLogError: The log cannot be trained on.
        FitError: A network cannot be fitted as configured.
    """
    config = subject.config
    console.print(f"Reading {subject.log_path.name}")
    log = read_event_log(subject.log_path, config.data, config.inputs)
    parts = cut_parts(log, split_by_time(log, config.split), config)
    console.print(f"  {len(parts.training):,} prefixes to learn from, {len(parts.test):,} to be judged on")
    store = RiskStore(output / f"{subject.name}.risks", fingerprint(config, subject.log_path))
    seeds = [config.seed + number for number in range(num_seeds)]
    fits = [(model, seed) for seed in seeds for model in models if model not in BASELINES or seed == seeds[0]]
    with FitsProgress(console, len(fits)) as progress:
        for model, seed in fits:
            _fit(model, config.model_copy(update={"seed": seed}), parts, store, progress)

    console.print(f"Comparing, with {config.evaluation.resamples:,} resamples")
    kept = {model: [store.read(model, seeds[0] if model in BASELINES else seed) for seed in seeds] for model in models}
    risks = {model: np.stack([row for row in rows if row is not None]) for model, rows in kept.items()}
    return evaluate(config, parts.test, risks, seeds, further=parts.further)


def find_subjects(data: Path, only: Sequence[str] = ()) -> list[Subject]:
    """The logs of a directory with the configurations that they are evaluated with, by name.

    Args:
        data: The directory.
        only: Names of subjects; all if empty.

    Raises:
        BenchmarkError: There are none.
        ConfigError: A configuration is wrong.
    """
    if not data.is_dir():
        raise BenchmarkError(f"Expected a directory with event logs. Received: {data}. Give DATA=directory.")
    subjects = []
    for path in sorted(data.iterdir()):
        stem = _LOG_SUFFIX.sub("", path.name)
        if stem == path.name:
            continue
        configs = {_stem(config): TrainingConfig.read(config) for config in _configurations(stem, data)}
        for name, config in (configs or {stem: _default_config(stem)}).items():
            if not only or name in only:
                placed = config.data.model_copy(update={"path": path.name})
                subjects.append(Subject(name, path, config.model_copy(update={"data": placed})))
    if not subjects:
        wanted = f"named {', '.join(only)} " if only else ""
        raise BenchmarkError(
            f"Expected event logs {wanted}(.csv, .csv.gz, .parquet, .xes or .xes.gz) in {data}. Received: none."
        )
    return subjects


def choose_models(names: Sequence[str]) -> tuple[str, ...]:
    """The contenders of these names, all if there are none; what verdicts are about is always among them.

    Raises:
        BenchmarkError: There is no such contender.
    """
    unknown = sorted(set(names) - set(CONTENDERS))
    if unknown:
        raise BenchmarkError(f"Expected models among {', '.join(CONTENDERS)}. Received: {', '.join(unknown)}.")
    return tuple(one for one in CONTENDERS if not names or one in names or one in {NETWORK, GRADIENT_BOOSTING})


def _fit(model: str, config: TrainingConfig, parts: Parts, store: RiskStore, progress: FitsProgress) -> None:
    fit = model if model in BASELINES else f"{model}, seed {config.seed}"
    started = time.monotonic()
    callback = progress.begin(fit)
    risks, how = store.read(model, config.seed), "as kept"
    if risks is None:
        risks = fit_contender(model, config, parts, [callback])
        store.write(model, config.seed, risks)
        how = f"{time.monotonic() - started:.0f} s"
    labels = parts.test.labels.astype(np.float64)
    ranking = weighted_roc_auc(labels, risks, np.ones((1, len(risks))), parts.test.strata)[0]
    progress.end(f"{fit}: {ranking:.3f} ({how})")


def _configurations(stem: str, data: Path) -> list[Path]:
    for directory in (data, SHIPPED):
        found = [path for path in sorted(directory.glob("*.toml")) if path.name.startswith(f"{stem}.")]
        if found:
            return found
    return []


def _default_config(stem: str) -> TrainingConfig:
    name = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("._-")[:64]
    if not name:
        raise ConfigError(f"Expected a log named with letters or digits. Received: {stem}. Rename it.")
    return TrainingConfig(name=name, predicts="label 1", data=DataConfig(path=stem))


def _stem(config: Path) -> str:
    return config.name.removesuffix(".toml")


def _write_summary(path: Path, evaluations: dict[str, Evaluation]) -> None:
    """What each evaluation found in short, beside its targets; evaluations of earlier calls stay."""
    summary = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, evaluation in evaluations.items():
        told = evaluation.to_json()
        of_targets = [(target, measure(target, evaluation)) for target in TARGETS.get(name, ())]
        summary[name] = {key: told[key] for key in ("verdict", "sentence", "seeds", "figures", "differences")}
        summary[name]["targets"] = [
            {**asdict(target), "found": asdict(found), "is_reached": found.value >= target.least}
            for target, found in of_targets
            if found is not None
        ]
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
