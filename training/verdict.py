"""The verdict: whether a network earns its place beside gradient boosting on aggregates of the same histories."""

from collections.abc import Mapping

from training.results import GRADIENT_BOOSTING, MAIN_METRIC, NETWORK, Evaluation, Figures, Interval, Verdict

_CHANCE = 0.5


class WorseThanAggregatesError(RuntimeError):
    """The network ranks worse than gradient boosting; nothing was published."""


def judge(figures: Mapping[str, Figures], differences: Mapping[str, Figures]) -> tuple[Verdict, str]:
    """Decide by weighted ROC AUC, and say so in plain words.

    Args:
        figures: By model, then by metric.
        differences: The network minus the other model, by its name, then by metric.

    Returns:
        `not_predictable` where no model's interval lies above 0.5; else `better` or `worse` where the interval of the
        difference to gradient boosting does not hold 0, and `not_distinguishable` where it does.
    """
    if all(of_model[MAIN_METRIC].lower <= _CHANCE for of_model in figures.values()):
        best = max(of_model[MAIN_METRIC].value for of_model in figures.values())
        return "not_predictable", (
            f"Not predictable: no model ranks better than chance (the best has a weighted ROC AUC of {best:.3f}, and "
            "no interval lies above 0.5). Nothing in these histories tells the classes apart."
        )
    difference = differences[GRADIENT_BOOSTING][MAIN_METRIC]
    size = f"{abs(difference.value):.3f} in weighted ROC AUC ({_bounds(difference)})"
    if difference.lower > 0:
        return "better", f"Better than aggregates: {NETWORK} ranks better than {GRADIENT_BOOSTING} by {size}."
    if difference.upper < 0:
        return "worse", f"Worse than aggregates: {GRADIENT_BOOSTING} ranks better than {NETWORK} by {size}."
    ahead, behind = (NETWORK, GRADIENT_BOOSTING) if difference.value > 0 else (GRADIENT_BOOSTING, NETWORK)
    return "not_distinguishable", (
        f"Not distinguishable from aggregates: {ahead} is ahead of {behind} by {size}, but the interval of the "
        "difference holds 0."
    )


def require_worth(evaluation: Evaluation) -> None:
    """Refuse a network that gradient boosting beats.

    Raises:
        WorseThanAggregatesError: It is worse.
    """
    if evaluation.verdict == "worse":
        raise WorseThanAggregatesError(
            f"Expected a network that ranks at least as well as gradient boosting. Received: {evaluation.sentence} "
            "Nothing was published. Try other options (see training/README.md), or publish it all the same with "
            "--publish-worse."
        )


def _bounds(difference: Interval) -> str:
    lower, upper = sorted((abs(difference.lower), abs(difference.upper)))
    if difference.lower <= 0 <= difference.upper:
        lower, upper = difference.lower, difference.upper
    return f"{lower:.3f} to {upper:.3f}"
