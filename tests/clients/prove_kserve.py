"""Every call of KServe's own client, unmodified, works: `InferenceRESTClient` in its protocols v1 and v2.

It lives in an environment of its own under .cache/clients, made on first use from kserve.txt, beside this file.

From the root of the project: python -m tests.clients.prove_kserve
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from models.manifest import Manifest
from models.repository import Repository
from models.sequences import Vocabulary, encode
from tests.benchmarks.results import Row
from tests.benchmarks.servers import ROOT
from tests.proofs.started import command_line, ready, started
from tests.proofs.verdict import conclude, must_be_none

HERE = Path(__file__).parent
PACKAGES = HERE / "kserve.txt"
ENVIRONMENT = ROOT / ".cache" / "clients" / "kserve"

_NUM_HISTORIES = 3


def main() -> None:
    """Make every call, with a service that is ready and with one that is not."""
    options = command_line(__doc__).parse_args()
    conclude("KServe's own client", prove(options.repository))


def prove(repository: Path) -> list[Row]:
    """Make every call; print what came of it."""
    published = Repository(repository)
    manifest = published.open(published.names()[0]).manifest
    python = _environment()
    with ready(repository) as service:
        seen = _call(python, {"url": service.url, "is_ready": True, **_asked(service.url, manifest)})
    with _damaged(repository, manifest) as damaged, started(damaged) as service:
        service.wait_for("/livez")
        seen |= _call(python, {"url": service.url, "is_ready": False, **_nothing(manifest)})
    table = Table("call", "came to")
    for name, failure in seen.items():
        table.add_row(name, failure or "as it should")
    Console().print(table)
    return [must_be_none("calls that failed", sum(failure is not None for failure in seen.values()), among=len(seen))]


@contextmanager
def _damaged(repository: Path, manifest: Manifest) -> Iterator[Path]:
    """The same repository with a file that is not the published one: its service lives and never is ready."""
    with tempfile.TemporaryDirectory() as directory:
        shutil.copytree(repository, directory, dirs_exist_ok=True)
        graph = Path(directory, manifest.name, str(manifest.version), "saved_model.pb")
        graph.write_bytes(graph.read_bytes() + b"?")
        yield Path(directory)


def _environment() -> Path:
    """The interpreter of KServe's environment, with the packages of the list and no others."""
    made_from = ENVIRONMENT / "made_from.txt"
    python = ENVIRONMENT / "bin" / "python"
    if not made_from.exists() or made_from.read_text() != PACKAGES.read_text():
        Console().print(f"Installing KServe's client into {ENVIRONMENT.relative_to(ROOT)} (once, half a minute) ...")
        uv = [sys.executable, "-m", "uv", "--quiet"]
        subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, ENVIRONMENT], check=True)
        subprocess.run([*uv, "pip", "sync", "--python", python, PACKAGES], check=True)
        made_from.write_text(PACKAGES.read_text())
    return python


def _asked(url: str, manifest: Manifest) -> dict[str, Any]:
    """The first golden examples that have events, as tensors, and what our own protocol says of them."""
    examples = manifest.golden_examples[:_NUM_HISTORIES]
    types, minutes = [one.event_types for one in examples], [one.elapsed_minutes for one in examples]
    batch = encode(types, minutes, Vocabulary(manifest.vocabulary), manifest.max_events)
    width = batch.event_ids.shape[1]
    rows = zip(types, minutes, strict=True)
    sequences = [{"event_types": kinds, "elapsed_minutes": times} for kinds, times in rows]
    answer = httpx.post(f"{url}/v1/score", json={"sequences": sequences}, timeout=60).raise_for_status().json()
    return {
        "model": manifest.name,
        "event_types": [[*map(str, row), *[""] * (width - len(row))] for row in types],
        "event_ids": batch.event_ids.tolist(),
        "elapsed_minutes": batch.elapsed_minutes.tolist(),
        "risks": [score["risk"] for score in answer["scores"]],
    }


def _nothing(manifest: Manifest) -> dict[str, Any]:
    return {"model": manifest.name, "event_types": [], "event_ids": [], "elapsed_minutes": [], "risks": []}


def _call(python: Path, given: dict[str, Any]) -> dict[str, str | None]:
    """What went wrong with each call, if anything."""
    ended = subprocess.run(
        [python, HERE / "kserve_calls.py"],
        input=json.dumps(given),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    seen: dict[str, str | None] = json.loads(ended.stdout.splitlines()[-1])
    return seen


if __name__ == "__main__":
    main()
