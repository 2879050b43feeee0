"""A real Triton and our service, the same artifact behind both, are asked the same: do they answer the same?

Triton is the server binary inside the nvidia-pytriton wheel, in the environment that the benchmark of peers makes.
What differs is written to triton_differences.md, beside this file.

From the root of the project: python -m tests.clients.prove_triton
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console

from models.repository import Repository
from tests.benchmarks.bench_peers import PEERS, environment
from tests.benchmarks.results import Row
from tests.benchmarks.servers import ROOT, Running, free_port, running
from tests.clients.differences import TOLERANCE, Answered, write_page
from tests.clients.sent import Sent
from tests.clients.triton_requests import requests_for
from tests.proofs.started import command_line, ready
from tests.proofs.verdict import conclude, must_be_below, must_be_none

HERE = Path(__file__).parent


def main() -> None:
    """Ask both, and write what differs."""
    options = command_line(__doc__).parse_args()
    conclude("Triton and seqrisk", prove(options.repository))


def prove(repository: Path) -> list[Row]:
    """Ask both everything."""
    published = Repository(repository)
    manifest = published.open(published.names()[0]).manifest
    asked = requests_for(manifest)
    with triton(repository, manifest.name) as theirs, ready(repository) as ours:
        version = httpx.get(f"{theirs.url}/v2").json()["version"]
        # One after the other: what a server says of itself depends on what it was asked before.
        seen = [Answered(sent, _ask(theirs.url, sent), _ask(ours.url, sent)) for sent in asked]
    write_page(HERE / "triton_differences.md", f"Triton {version}", seen)
    wrong = [one for one in seen if not one.is_as_expected]
    for one in wrong:
        Console().print(
            f"{one.sent.name or one.sent.path} ({one.sent.outcome}): {'; '.join(one.differences)}\n"
            f"    Triton:  {one.told(one.theirs)}\n    seqrisk: {one.told(one.ours)}",
            markup=False,
        )
    return [
        must_be_none("requests that came to something else than expected", len(wrong), among=len(seen)),
        must_be_below(
            "largest difference between two risks, in millionths",
            max(one.largest_difference for one in seen) * 1e6,
            TOLERANCE * 1e6,
            measured=f"{sum(one.largest_difference > 0 for one in seen)} answers differ at all",
        ),
    ]


@contextmanager
def triton(repository: Path, model: str) -> Iterator[Running]:
    """Triton with the artifact under the name it has here."""
    directory, port = environment("triton"), free_port()
    settings = {
        "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{PEERS}:{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PORT": str(port),
        "MODEL": model,
        "SEQRISK_REPOSITORY": str(repository.resolve()),
    }
    command = [str(directory / "bin" / "python"), str(HERE / "triton_server.py")]
    with running(command, environment=settings, port=port, ready=f"/v2/models/{model}/ready") as server:
        yield server


def _ask(url: str, sent: Sent) -> httpx.Response:
    method = "GET" if sent.body is None else "POST"
    # Of the client's own headers, those that say something about the body or the answer are left out.
    headers = {"Accept-Encoding": "identity", **sent.headers}
    return httpx.request(method, url + sent.path, content=sent.body, headers=headers, timeout=60)


if __name__ == "__main__":
    main()
