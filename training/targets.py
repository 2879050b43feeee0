"""Targets: figures that evaluations on public data must reach, with where they are from.

data     an evaluation's name -> its targets
measure  a target in an evaluation
"""

from dataclasses import dataclass

from training.results import (
    GRADIENT_BOOSTING,
    MAIN_METRIC,
    NETWORK,
    NETWORK_WITHOUT_TIME,
    Evaluation,
    Interval,
)

_POOLED = "roc_auc_pooled"
_TEINEMAA = (
    "Teinemaa et al. 2019, ACM TKDD 13(2): repository irhete/predictive-monitoring-thesis @8cc9242, all attributes"
)
_STEVENS = "Stevens et al., repository AlexanderPaulStevens/Explainability-in-Process-Outcome-Prediction @b98c07f"
_SAME_RUN = "gradient boosting of the same run on the same inputs"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of the network to reach.

    Attributes:
        metric: Which.
        least: The least good figure.
        source: Where that is from.
        minus: The model whose figure is taken off first; None for the network's own.
    """

    metric: str
    least: float
    source: str
    minus: str | None = None

    @property
    def what(self) -> str:
        """The figure in words."""
        return f"{NETWORK}, {self.metric}" if self.minus is None else f"{NETWORK} - {self.minus}, {self.metric}"


_NOT_BEHIND = Target(MAIN_METRIC, 0.0, _SAME_RUN, GRADIENT_BOOSTING)
_EARNS_ITS_TIME = Target(MAIN_METRIC, 0.08, "elapsed time is the signal of this log", NETWORK_WITHOUT_TIME)

TARGETS: dict[str, tuple[Target, ...]] = {
    "itsm_sla_breach": (_NOT_BEHIND, _EARNS_ITS_TIME),
    "itsm_sla_breach.clock": (_NOT_BEHIND,),
    "itsm_sla_breach_6k": (_NOT_BEHIND,),
    "itsm_sla_breach_6k.clock": (_NOT_BEHIND,),
    "bpic2012_accepted_bench": (
        Target(MAIN_METRIC, 0.668, f"random forest, {_TEINEMAA}"),
        Target(MAIN_METRIC, 0.673, f"XGBoost, {_TEINEMAA}"),
        Target(MAIN_METRIC, 0.678, f"best of six, {_TEINEMAA}"),
    ),
    "bpic2012_cancelled_bench": (
        Target(MAIN_METRIC, 0.693, f"XGBoost, {_TEINEMAA}"),
        Target(MAIN_METRIC, 0.706, f"random forest, {_TEINEMAA}"),
        Target(MAIN_METRIC, 0.709, f"best of six, {_TEINEMAA}"),
    ),
    "bpic2012_cancelled": (_NOT_BEHIND,),
    "traffic_fines": (
        Target(MAIN_METRIC, 0.646, f"random forest, {_TEINEMAA}"),
        Target(MAIN_METRIC, 0.661, f"best of six, {_TEINEMAA}"),
    ),
    "sepsis_ic_admission_rich": (
        Target(_POOLED, 0.847, f"LSTM, {_STEVENS}"),
        Target(MAIN_METRIC, 0.824, f"XGBoost, {_TEINEMAA}"),
        Target(MAIN_METRIC, 0.869, f"best of six, {_TEINEMAA}"),
    ),
    "hospital_billing_notclosed_10k": (_NOT_BEHIND,),
    "physionet2012_labs": (Target(_POOLED, 0.0, _SAME_RUN, GRADIENT_BOOSTING),),
}
"""By the name of the evaluation's configuration."""


def measure(target: Target, evaluation: Evaluation) -> Interval | None:
    """The figure that `target` is about; None if the evaluation lacks the model."""
    if target.minus is None:
        return evaluation.figures[NETWORK][target.metric]
    return evaluation.differences[target.minus][target.metric] if target.minus in evaluation.differences else None
