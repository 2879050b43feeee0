"""The command line: `python -m training train CONFIG.toml`."""

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

EXIT_FAILED = 1
EXIT_WRONG_CONFIGURATION = 2

app = typer.Typer(help="Train risk models on event sequences.", no_args_is_help=True, add_completion=False)


@app.callback()
def training() -> None:
    """Train risk models on event sequences."""


@app.command()
def train(
    config_path: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="What to train; see training/README.md.")],
    repository: Annotated[str, typer.Option(help="Where to publish.")] = str(DEFAULT_REPOSITORY),
    seed: Annotated[int | None, typer.Option(min=0, max=LARGEST_SEED, help="Instead of the configuration's.")] = None,
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

    # TensorFlow takes seconds to import: a wrong configuration is answered before.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Threads of the boosting that spin while they wait take three times as long beside other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from training.eventlog import EventLogError  # noqa: PLC0415
    from training.fit import FitError  # noqa: PLC0415
    from training.gate import GateError  # noqa: PLC0415
    from training.pipeline import train_and_publish  # noqa: PLC0415

    try:
        published = train_and_publish(config, config_path.parent, published_in, console)
    except (EventLogError, FitError, GateError, RepositoryError) as error:
        _stop(EXIT_FAILED, error)
    manifest = published.manifest
    console.print(
        f"\nPublished {manifest.name} version {manifest.version} after {time.monotonic() - started:.0f} s:\n"
        f"  {repository.rstrip('/')}/{manifest.name}/{manifest.version}/{MANIFEST_FILE}\nServe it with\n  "
        f"SEQRISK_REPOSITORY={shlex.quote(repository)} SEQRISK_MODEL={manifest.name} make serve",
        soft_wrap=True,
    )


def _stop(exit_code: int, error: Exception) -> NoReturn:
    typer.echo(str(error), err=True)
    raise typer.Exit(exit_code) from error


if __name__ == "__main__":
    app()
