from io import StringIO

import pytest
from rich.console import Console

from training.fit import VALIDATION_METRIC
from training.progress import EpochProgress, FitsProgress

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


def test_a_long_epoch_tells_a_file_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.progress._SECONDS_BETWEEN_LINES", 0.0)

    assert shown(is_terminal=False).splitlines()[:2] == ["  epoch   1  step 1 of 2", "  epoch   1  step 2 of 2"]


def test_a_terminal_gets_a_bar_an_epoch_with_its_result() -> None:
    text = shown(is_terminal=True)

    assert "2/2" in text
    assert "validation weighted ROC AUC 0.7100" in text


def test_a_fit_that_is_broken_off_gives_the_cursor_back() -> None:
    written = StringIO()

    with pytest.raises(KeyboardInterrupt), EpochProgress(Console(file=written, force_terminal=True)):
        raise KeyboardInterrupt

    assert written.getvalue().rfind(SHOW_CURSOR) > written.getvalue().rfind(HIDE_CURSOR) >= 0


def test_fits_are_lines_in_a_file_and_a_bar_on_a_terminal() -> None:
    texts = {}
    for is_terminal in (False, True):
        written = StringIO()
        with FitsProgress(Console(file=written, force_terminal=is_terminal, width=120), num_fits=1) as progress:
            progress.begin("network, seed 1").on_epoch_end(0, {VALIDATION_METRIC: 0.7})
            progress.end("network, seed 1: 0.712 (3 s)")
        texts[is_terminal] = written.getvalue()

    assert texts[False].splitlines() == ["  network, seed 1: 0.712 (3 s)"]
    assert "1/1" in texts[True]
