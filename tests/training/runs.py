"""Runs of the trainer's command line inside the test's own process."""

from dataclasses import dataclass

from typer.testing import CliRunner

from training.__main__ import app


@dataclass(frozen=True)
class Run:
    """One run: how it ended and what it said."""

    exit_code: int
    output: str


def run_train(*arguments: str) -> Run:
    result = CliRunner().invoke(app, ["train", *arguments])
    return Run(result.exit_code, result.output)
