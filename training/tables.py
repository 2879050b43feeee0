"""Tables: an evaluation as a terminal shows it."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

from training.results import CALIBRATION_ERROR, GRADIENT_BOOSTING, MAIN_METRIC, NETWORK, Evaluation, Interval
from training.targets import Target, measure

_SHORT = {
    MAIN_METRIC: "weighted ROC AUC",
    "roc_auc_pooled": "pooled",
    "average_precision": "avg. prec.",
    "brier": "Brier",
    CALIBRATION_ERROR: "ECE",
}
_LIFTS = ("lift_at_1_percent", "lift_at_5_percent", "lift_at_10_percent")


def show_evaluation(console: Console, evaluation: Evaluation) -> None:
    """The table of models and metrics, the paired differences and the verdict."""
    seeds = f"{len(evaluation.seeds)} seeds" if len(evaluation.seeds) > 1 else f"seed {evaluation.seeds[0]}"
    table = Table(
        Column("model", no_wrap=True),
        *_SHORT.values(),
        "lift at 1, 5, 10 %",
        title=f"Test period: {evaluation.num_prefixes:,} histories of {evaluation.num_entities:,} entities, "
        f"{100 * evaluation.prevalence:.1f} % label 1, {seeds}",
    )
    for model, figures in evaluation.figures.items():
        main, *others = (figures[metric] for metric in _SHORT)
        lifts = "  ".join(f"{figures[metric].value:.2f}" for metric in _LIFTS)
        table.add_row(model, with_bounds(main), *(f"{figure.value:.3f}" for figure in others), lifts)
    console.print(table)
    for other, figures in evaluation.differences.items():
        console.print(f"{NETWORK} - {other}: {with_bounds(figures[MAIN_METRIC], sign='+')}", highlight=False)
    for column, figure in evaluation.further_labels.items():
        console.print(f"{NETWORK}, further label {column}: {with_bounds(figure)}", highlight=False)
    console.print(evaluation.sentence, highlight=False)


def show_targets(console: Console, targets: Sequence[Target], evaluation: Evaluation) -> None:
    """Figures beside those to be reached."""
    if not targets:
        return
    table = Table("figure", "found", "at least", "", "of", title="Beside published figures")
    for target in targets:
        found = measure(target, evaluation)
        if found is not None:
            reached = "reached" if found.value >= target.least else "not reached"
            table.add_row(target.what, with_bounds(found), f"{target.least:.3f}", reached, target.source)
    console.print(table)


def show_summary(console: Console, evaluations: Sequence[Evaluation]) -> None:
    """One line a data set."""
    table = Table("data", NETWORK, GRADIENT_BOOSTING, "difference", "verdict", title="Weighted ROC AUC")
    for evaluation in evaluations:
        network, boosting = (evaluation.figures[model][MAIN_METRIC] for model in (NETWORK, GRADIENT_BOOSTING))
        difference = evaluation.differences[GRADIENT_BOOSTING][MAIN_METRIC]
        table.add_row(
            evaluation.name,
            with_bounds(network),
            with_bounds(boosting),
            with_bounds(difference, sign="+"),
            evaluation.verdict.replace("_", " "),
        )
    console.print(table)


def with_bounds(figure: Interval, sign: str = "") -> str:
    """A figure and its interval, such as `0.672 [0.648, 0.696]`."""
    return f"{figure.value:{sign}.3f} [{figure.lower:{sign}.3f}, {figure.upper:{sign}.3f}]"
