"""What a training run shows: a bar an epoch on a terminal, plain lines elsewhere, and the table at the end."""

from types import TracebackType
from typing import Self

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from training.evaluation import Comparison, Interval
from training.fit import VALIDATION_METRIC


class EpochProgress(keras.callbacks.Callback):
    """Shows every epoch's loss and validation metric; a context that closes the display however the fit ends.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._bars: Progress | None = None
        self._bar = TaskID(0)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[result]}"),
                console=self._console,
            )
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start a bar."""
        if self._bars is not None:
            self._bar = self._bars.add_task(f"  epoch {epoch + 1:>3}", total=self.params["steps"], result="")

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Advance it."""
        if self._bars is not None:
            self._bars.advance(self._bar)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Say how the epoch went."""
        figures = logs or {}
        result = f"loss {figures['loss']:.4f}  validation weighted ROC AUC {figures[VALIDATION_METRIC]:.4f}"
        if self._bars is not None:
            self._bars.update(self._bar, result=result)
        else:
            self._console.print(f"  epoch {epoch + 1:>3}  {result}")


def show_comparison(console: Console, comparison: Comparison) -> None:
    """The table of metrics and the verdict."""
    table = Table("metric", "model", "value", "95 % interval", title="Test period")
    for metric, difference in comparison.differences.items():
        for model, figures in comparison.figures.items():
            table.add_row(metric, model, *_texts(figures[metric]))
        table.add_row("", "difference", *_texts(difference), end_section=True)
    console.print(table)
    console.print(comparison.verdict)


def _texts(figure: Interval) -> tuple[str, str]:
    return f"{figure.value:.3f}", f"{figure.lower:.3f} to {figure.upper:.3f}"
