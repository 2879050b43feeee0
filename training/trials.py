"""What tuning shows: a line a trial, a bar on a terminal, and the table of the best at the end."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from training.search_space import Value
from training.study import REASON
from training.tuned_config import Options

NUM_EPOCHS = "num_epochs"
SECONDS = "seconds"


class TrialProgress:
    """Shows how far a study is; a context that closes the display however it ends.

    Args:
        console: Where to.
        num_trials: Trials of the whole study.
    """

    def __init__(self, console: Console, num_trials: int) -> None:
        self._console = console
        self._bar = TaskID(0)
        self._bars = Progress(
            TextColumn("  trials"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._num_trials = num_trials

    def __enter__(self) -> Self:
        self._bar = self._bars.add_task("", total=self._num_trials)
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show_epoch(self, trial: int, epoch: int, ranking: float) -> None:
        """Say how the trial under way stands."""
        self._bars.update(self._bar, description=f"trial {trial}, epoch {epoch}: {ranking:.4f}")

    def show_trials(self, trials: Sequence[FrozenTrial]) -> None:
        """Advance to the trials that have an outcome, and say what became of the latest one."""
        self._bars.update(self._bar, completed=len(trials), description="")
        if trials:
            self._console.print(_as_text(max(trials, key=lambda trial: trial.number), trials), highlight=False)


def table_of_best(best: Sequence[FrozenTrial], own: Options) -> Table:
    """The best trials, first the best, each with the options in which it differs from the configuration.

    Args:
        best: Complete trials.
        own: The configuration's options.
    """
    table = Table("trial", "validation\nROC AUC", "epochs", "seconds", "what it changes", title="Best trials")
    for trial in best:
        changed = (f"{option} {_number(value)}" for option, value in trial.params.items() if own.get(option) != value)
        figures = trial.user_attrs
        table.add_row(
            str(trial.number),
            f"{trial.value:.4f}",
            str(figures[NUM_EPOCHS]),
            f"{figures[SECONDS]:.0f}",
            ", ".join(changed) or "nothing",
        )
    return table


def _as_text(latest: FrozenTrial, trials: Sequence[FrozenTrial]) -> str:
    start = f"  trial {latest.number:>3}"
    if latest.state == TrialState.FAIL:
        return f"{start}  failed: {latest.user_attrs[REASON]}"
    figures = f"{latest.value:.4f}" if latest.value is not None else "     -"
    seconds = f"{latest.user_attrs[SECONDS]:4.0f} s"
    if latest.state == TrialState.PRUNED:
        return f"{start}  {figures}  {seconds}  pruned after {len(latest.intermediate_values)} epochs"
    values = [trial.value for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
    mark = "  best so far" if latest.value == max(values) else ""
    return f"{start}  {figures}  {seconds}  {latest.user_attrs[NUM_EPOCHS]} epochs{mark}"


def _number(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
