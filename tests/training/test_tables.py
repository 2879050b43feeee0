from dataclasses import replace
from io import StringIO

from rich.console import Console

from tests.training.histories import random_log
from tests.training.test_evaluation import judged
from training.prefixes import cut_prefixes
from training.results import MAIN_METRIC, NETWORK, Interval
from training.tables import show_evaluation, show_summary, show_targets, with_bounds
from training.targets import Target


def test_an_evaluation_is_shown_with_every_model_its_interval_and_the_verdict() -> None:
    written = StringIO()
    evaluation = judged(cut_prefixes(random_log(3, 60)), 0.6, 0.1)
    target = Target(MAIN_METRIC, 0.999, "somebody")
    console = Console(file=written, width=120)

    show_evaluation(console, evaluation)
    show_targets(console, [target], evaluation)
    show_summary(console, [evaluation])

    text = written.getvalue()
    assert text.count(with_bounds(evaluation.figures[NETWORK][MAIN_METRIC])) == 3
    assert evaluation.sentence in text.replace("\n", " ")
    assert "0.999" in text
    assert "somebody" in text
    assert "better" in text


def test_a_difference_is_shown_with_its_sign() -> None:
    assert with_bounds(Interval(0.012, -0.001, 0.025), sign="+") == "+0.012 [-0.001, +0.025]"


def test_further_labels_are_shown_with_their_columns() -> None:
    written = StringIO()
    evaluation = judged(cut_prefixes(random_log(3, 60)), 0.6, 0.1)
    figure = Interval(0.612, 0.501, 0.702)

    show_evaluation(Console(file=written, width=120), replace(evaluation, further_labels={"moved": figure}))

    assert f"network, further label moved: {with_bounds(figure)}" in written.getvalue()
