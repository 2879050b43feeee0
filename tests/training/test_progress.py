from io import StringIO

import pytest
from rich.console import Console

from training.evaluation import Comparison, Interval
from training.fit import VALIDATION_METRIC
from training.progress import EpochProgress, show_comparison

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def shown(*, is_terminal: bool) -> str:
    written = StringIO()
    progress = EpochProgress(Console(file=written, force_terminal=is_terminal, width=120))
    progress.set_params({"steps": 2})
    with progress:
        for epoch in range(2):
            progress.on_epoch_begin(epoch)
            progress.on_train_batch_end(0)
            progress.on_train_batch_end(1)
            progress.on_epoch_end(epoch, {"loss": 0.5, VALIDATION_METRIC: 0.7 + 0.01 * epoch})
    return written.getvalue()


def test_a_file_gets_one_plain_line_an_epoch() -> None:
    assert shown(is_terminal=False).splitlines() == [
        "  epoch   1  loss 0.5000  validation weighted ROC AUC 0.7000",
        "  epoch   2  loss 0.5000  validation weighted ROC AUC 0.7100",
    ]


def test_a_terminal_gets_a_bar_an_epoch_with_its_result() -> None:
    text = shown(is_terminal=True)

    assert "2/2" in text
    assert "validation weighted ROC AUC 0.7100" in text


def test_a_fit_that_is_broken_off_gives_the_cursor_back() -> None:
    written = StringIO()

    with pytest.raises(KeyboardInterrupt), EpochProgress(Console(file=written, force_terminal=True)):
        raise KeyboardInterrupt

    assert written.getvalue().rfind(SHOW_CURSOR) > written.getvalue().rfind(HIDE_CURSOR) >= 0


def test_the_table_fits_a_narrow_terminal_with_every_figure_and_its_interval() -> None:
    written = StringIO()
    figures = {"roc_auc_weighted": Interval(0.68, 0.66, 0.70), "expected_calibration_error": Interval(0.05, 0.04, 0.06)}
    comparison = Comparison({"network": figures, "gradient_boosting": figures}, figures)

    show_comparison(Console(file=written, width=80), comparison)

    assert written.getvalue().count("0.660 to 0.700") == 3
    assert "expected_calibration_error" in written.getvalue()
    assert "network ranks better" in written.getvalue()
