"""The command line: `python -m training train CONFIG.toml`, `… tune CONFIG.toml`, `… evaluate DIRECTORY`."""

import os
import shlex
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from models.manifest import MANIFEST_FILE
from models.repository import Repository, RepositoryError
from training.config import LARGEST_SEED, ConfigError, TrainingConfig

DEFAULT_REPOSITORY = Path(__file__).resolve().parent.parent / "models" / "artifacts"

DEFAULT_OUTPUT = Path(".cache/evaluations")

EXIT_FAILED = 1
EXIT_WRONG_CONFIGURATION = 2

app = typer.Typer(help="Train risk models on event sequences.", no_args_is_help=True, add_completion=False)


@app.callback()
def training() -> None:
    """Train risk models on event sequences."""


@app.command()
def train(
    config_path: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="What to train; see training/README.md.")],
    *,
    repository: Annotated[str, typer.Option(help="Where to publish.")] = str(DEFAULT_REPOSITORY),
    seed: Annotated[int | None, typer.Option(min=0, max=LARGEST_SEED, help="Instead of the configuration's.")] = None,
    publish_worse: Annotated[
        bool, typer.Option("--publish-worse", help="Publish even if gradient boosting ranks better.")
    ] = False,
    run_directory: Annotated[
        Path | None, typer.Option(help="Keep checkpoints here; a run that was killed goes on from them.")
    ] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Write TensorBoard's logs here.")] = None,
    mlflow: Annotated[str | None, typer.Option(help="Record the run in this MLflow store: sqlite:///x.db.")] = None,
) -> None:
    """Train a model on an event log, measure it, check its export and publish the next version."""
    started = time.monotonic()
    # Names and paths are shown as they are, brackets included.
    console = Console(markup=False)
    try:
        config = TrainingConfig.read(config_path)
        published_in = Repository(repository)
    except (ConfigError, RepositoryError) as error:
        _stop(EXIT_WRONG_CONFIGURATION, error)
    if seed is not None:
        config = config.model_copy(update={"seed": seed})

    _quieten_libraries()
    from training.checkpoints import CheckpointError, Checkpoints  # noqa: PLC0415
    from training.descent import FitError  # noqa: PLC0415
    from training.gate import GateError  # noqa: PLC0415
    from training.pipeline import train_and_publish  # noqa: PLC0415
    from training.report import REPORT_FILE  # noqa: PLC0415
    from training.rows import EventLogError  # noqa: PLC0415
    from training.tracking import TrackingError, tracked  # noqa: PLC0415
    from training.verdict import WorseThanAggregatesError  # noqa: PLC0415

    try:
        checkpoints = None if run_directory is None else Checkpoints(run_directory, config.model_dump_json())
        with tracked(config, tensorboard=tensorboard, mlflow=mlflow) as tracking:
            published = train_and_publish(
                config,
                config_path.parent,
                published_in,
                console,
                publishes_worse=publish_worse,
                callbacks=tracking.callbacks,
                checkpoints=checkpoints,
            )
            tracking.published(published.manifest)
    except (
        CheckpointError,
        ConfigError,
        EventLogError,
        FitError,
        GateError,
        RepositoryError,
        TrackingError,
        WorseThanAggregatesError,
    ) as error:
        _stop(EXIT_FAILED, error)
    except KeyboardInterrupt:
        way_on = "Run the same command again to go on." if run_directory else "With --run-directory, a run can go on."
        typer.echo(f"Stopped. {way_on}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    manifest = published.manifest
    artifact = f"{repository.rstrip('/')}/{manifest.name}/{manifest.version}"
    console.print(
        f"\nPublished {manifest.name} version {manifest.version} after {time.monotonic() - started:.0f} s:\n"
        f"  {artifact}/{MANIFEST_FILE}\nIs it any good?\n  {artifact}/{REPORT_FILE}\nServe it with\n  "
        f"SEQRISK_REPOSITORY={shlex.quote(repository)} SEQRISK_MODEL={manifest.name} make serve",
        soft_wrap=True,
    )


@app.command()
def tune(
    config_path: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="What to tune; see training/README.md.")],
    trials: Annotated[int | None, typer.Option(min=1, help="Instead of the configuration's.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Instead of the configuration's.")] = None,
) -> None:
    """Try options for a configuration, and write the best to another one; run it again to go on."""
    # Names and paths are shown as they are, brackets included.
    console = Console(markup=False)
    try:
        config = TrainingConfig.read(config_path)
    except ConfigError as error:
        _stop(EXIT_WRONG_CONFIGURATION, error)
    told = {"trials": trials, "minutes": minutes}
    budget = config.tune.model_copy(update={key: value for key, value in told.items() if value is not None})
    config = config.model_copy(update={"tune": budget})

    _quieten_libraries()
    from training.rows import EventLogError  # noqa: PLC0415
    from training.study import TuneError  # noqa: PLC0415
    from training.tune import tune as tune_options  # noqa: PLC0415

    try:
        tuned = tune_options(config, config_path, console)
    except ConfigError as error:
        _stop(EXIT_WRONG_CONFIGURATION, error)
    except (EventLogError, TuneError) as error:
        _stop(EXIT_FAILED, error)
    except KeyboardInterrupt:
        typer.echo("Stopped. Run the same command again to go on.", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    console.print(f"Wrote {tuned.path}. Train with\n  make train CONFIG={shlex.quote(str(tuned.path))}", soft_wrap=True)


@app.command()
def evaluate(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Directory with event logs; see training/README.md.")],
    only: Annotated[str, typer.Option(help="Names of evaluations, separated by commas.")] = "",
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Fits of each network.")] = 5,
    models: Annotated[str, typer.Option(help="Contenders, separated by commas; by default all.")] = "",
    output: Annotated[Path, typer.Option(help="Where results go, and finished fits are kept.")] = DEFAULT_OUTPUT,
) -> None:
    """Measure networks beside baselines on every log of a directory; run it again to go on."""
    # Names and paths are shown as they are, brackets included.
    console = Console(markup=False)
    _quieten_libraries()
    from training.benchmark import BenchmarkError, choose_models, find_subjects, run_benchmark  # noqa: PLC0415

    try:
        chosen = choose_models(_names(models))
        subjects = find_subjects(data, _names(only))
    except (BenchmarkError, ConfigError) as error:
        _stop(EXIT_WRONG_CONFIGURATION, error)
    try:
        run_benchmark(subjects, output, seeds, chosen, console)
    except BenchmarkError as error:
        _stop(EXIT_FAILED, error)
    except KeyboardInterrupt:
        typer.echo("Stopped. Run the same command again to go on.", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    console.print(f"Wrote {output}", soft_wrap=True)


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]


def _quieten_libraries() -> None:
    """To be called before TensorFlow is imported, which takes seconds: a wrong configuration is answered earlier."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Threads of the boosting that spin while they wait take three times as long beside other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _stop(exit_code: int, error: Exception) -> NoReturn:
    typer.echo(str(error), err=True)
    raise typer.Exit(exit_code) from error


if __name__ == "__main__":
    app()
