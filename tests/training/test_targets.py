from tests.training.histories import random_log
from tests.training.test_evaluation import judged
from training.benchmark import SHIPPED
from training.prefixes import cut_prefixes
from training.results import GRADIENT_BOOSTING, MAIN_METRIC, NETWORK
from training.targets import TARGETS, Target, measure


def test_every_shipped_configuration_has_targets_and_no_other_has() -> None:
    assert set(TARGETS) == {path.name.removesuffix(".toml") for path in SHIPPED.glob("*.toml")}


def test_a_target_is_about_the_network_or_about_its_lead_over_a_model_that_was_fitted() -> None:
    evaluation = judged(cut_prefixes(random_log(3, 60)), 0.4, 0.3)

    assert measure(Target(MAIN_METRIC, 0.5, ""), evaluation) == evaluation.figures[NETWORK][MAIN_METRIC]
    lead = measure(Target(MAIN_METRIC, 0.0, "", GRADIENT_BOOSTING), evaluation)
    assert lead == evaluation.differences[GRADIENT_BOOSTING][MAIN_METRIC]
    assert measure(Target(MAIN_METRIC, 0.0, "", "network_without_time"), evaluation) is None
