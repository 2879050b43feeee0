"""What fits show: a bar an epoch, or a bar for many fits, on a terminal; plain lines elsewhere."""

from time import monotonic
from types import TracebackType
from typing import Self

import keras
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from training.fit import VALIDATION_METRIC

_SECONDS_BETWEEN_LINES = 30.0


class EpochProgress(keras.callbacks.Callback):
    """Shows every epoch's loss and validation metric; a context that closes the display however the fit ends.

    Within an epoch a bar moves with every step; without a terminal a line every half minute says how far it is.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._bars: Progress | None = None
        self._bar = TaskID(0)
        self._epoch = 0
        self._told_at = monotonic()

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
        self._epoch, self._told_at = epoch, monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Advance it."""
        if self._bars is not None:
            # Not advanced by one: a fit that goes on begins in the middle of an epoch.
            self._bars.update(self._bar, completed=batch + 1)
        elif monotonic() - self._told_at >= _SECONDS_BETWEEN_LINES:
            self._console.print(f"  epoch {self._epoch + 1:>3}  step {batch + 1:,} of {self.params['steps']:,}")
            self._told_at = monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Say how the epoch went."""
        figures = logs or {}
        result = f"loss {figures['loss']:.4f}"
        if VALIDATION_METRIC in figures:
            result += f"  validation weighted ROC AUC {figures[VALIDATION_METRIC]:.4f}"
        if self._bars is not None:
            self._bars.update(self._bar, completed=self.params["steps"], result=result)
        else:
            self._console.print(f"  epoch {epoch + 1:>3}  {result}")


class FitsProgress:
    """Shows how many fits of an evaluation are done; a context that closes the display however they end.

    Args:
        console: Where to.
        num_fits: Fits in all.
    """

    def __init__(self, console: Console, num_fits: int) -> None:
        self._console = console
        self._num_fits = num_fits
        self._bar = TaskID(0)
        self._bars = Progress(
            TextColumn("  fits"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bar = self._bars.add_task("", total=self._num_fits)
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, fit: str) -> keras.callbacks.Callback:
        """Say which fit is under way; the callback says how it goes."""
        self._bars.update(self._bar, description=fit)
        return keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: self._bars.update(
                self._bar, description=f"{fit}, epoch {epoch + 1}: {logs[VALIDATION_METRIC]:.4f}"
            )
        )

    def end(self, result: str) -> None:
        """Say how it went, and advance."""
        self._bars.update(self._bar, advance=1, description="")
        self._console.print(f"  {result}", highlight=False)
