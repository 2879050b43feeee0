"""Whatever is sent, the service does not fail over it: no answer is 5xx, and every refusal is in the envelope.

Schemathesis examines every route as the service documents it; then thousands of mutated requests are posted to all
routes that take a body, and mutated messages sent to all methods of gRPC. In the end the service answers a golden
example as it did before.

From the root of the project: python -m tests.proofs.prove_no_5xx [--bodies 20000] [--messages 4000] [--examples 100]
"""

import asyncio
import copy
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from models.manifest import Manifest
from models.repository import Repository
from tests.benchmarks.results import Row
from tests.benchmarks.servers import free_port
from tests.proofs.grpc_calls import METHODS, call, valid_messages
from tests.proofs.mutations import mutated, mutated_messages
from tests.proofs.requests_in_use import Sent, valid_requests
from tests.proofs.started import command_line, ready
from tests.proofs.verdict import conclude, must_be_below, must_be_none

SEED = 5
TOLERANCE = 1e-6
PHASES = "examples,coverage,fuzzing,stateful"

_CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
_NUM_CONNECTIONS = 8
_TIMEOUT_SECONDS = 60
_MOST_SHOWN = 5


@dataclass(slots=True)
class Seen:
    """Answers to mutated requests.

    Attributes:
        statuses: How many of each status.
        failed: Requests answered with 5xx, each with its answer.
        lost: Requests without an answer, each with the reason.
        bare: Requests refused otherwise than in the envelope, each with the answer.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    failed: list[tuple[Sent, str]] = field(default_factory=list)
    lost: list[tuple[Sent, str]] = field(default_factory=list)
    bare: list[tuple[Sent, str]] = field(default_factory=list)

    def add(self, sent: Sent, answer: httpx.Response) -> None:
        """Count one answer."""
        self.statuses[answer.status_code] += 1
        told = f"{answer.status_code} {answer.text[:300]}"
        if answer.is_server_error:
            self.failed.append((sent, told))
        elif answer.is_client_error and not _is_envelope(answer):
            self.bare.append((sent, told))


def main() -> None:
    """Send what nobody should."""
    parser = command_line(__doc__)
    parser.add_argument("--bodies", type=int, default=20_000, help="Mutated requests.")
    parser.add_argument("--messages", type=int, default=4_000, help="Mutated messages of gRPC.")
    parser.add_argument("--examples", type=int, default=100, help="Of schemathesis, for each route.")
    options = parser.parse_args()
    numbers = {"num_bodies": options.bodies, "num_messages": options.messages, "num_examples": options.examples}
    conclude("No 5xx", prove(options.repository, **numbers))


def prove(
    repository: Path,
    *,
    num_bodies: int,
    num_messages: int,
    num_examples: int,
    phases: str = PHASES,
    **settings: float,
) -> list[Row]:
    """Examine the documented routes with `num_examples` each, then send mutated bodies and messages."""
    published = Repository(repository)
    manifest = published.open(published.names()[0]).manifest
    routes = {"vertex_health_route": "/vertex/health", "vertex_predict_route": "/vertex:predict"}
    grpc_port = free_port()
    with ready(repository, **routes, grpc_port=grpc_port, **settings) as service:
        before = _golden_risk(service.url, manifest)
        document = httpx.get(f"{service.url}/openapi.json", timeout=_TIMEOUT_SECONDS).json()
        examined = _examine(_to_be_examined(document, manifest), service.url, num_examples, phases)
        paths = _paths(document, manifest)
        requests = islice(mutated(valid_requests(manifest), paths, SEED), num_bodies)
        seen = asyncio.run(_post(service.url, requests))
        messages = islice(mutated_messages(valid_messages(manifest), METHODS, SEED), num_messages)
        answered = asyncio.run(call(f"127.0.0.1:{grpc_port}", messages))
        after = _golden_risk(service.url, manifest)
        is_alive = service.process.poll() is None
    found = {"5xx": seen.failed, "no answer": seen.lost, "no envelope": seen.bare, "gRPC": answered.failed}
    for what, requests_found in found.items():
        _show(what, requests_found)
    statuses, codes = (
        ", ".join(f"{number:,} x {what}" for what, number in sorted(counts.items()))
        for counts in (seen.statuses, answered.codes)
    )
    cases = examined["test_cases"]
    return [
        must_be_none("failures schemathesis found", cases["unique_failures"], among=cases["generated"]),
        must_be_none(
            "routes schemathesis could not examine",
            examined["operations"]["total"] - examined["operations"]["tested"],
            among=examined["operations"]["total"],
        ),
        must_be_none("answers 5xx", len(seen.failed), among=num_bodies),
        must_be_none("requests without an answer", len(seen.lost), among=num_bodies),
        must_be_none("refusals without the envelope", len(seen.bare), among=num_bodies),
        must_be_none("messages of gRPC it failed over", len(answered.failed), among=num_messages),
        must_be_none("servers that died", int(not is_alive), among=1),
        must_be_below(
            "change of a golden risk, in millionths",
            abs(after - before) * 1e6,
            TOLERANCE * 1e6,
            measured=f"{after:.6f}",
        ),
        Row("routes that take a body", statuses, len(paths), None, is_least=True),
        Row("methods of gRPC", codes, len(METHODS), None, is_least=True),
    ]


def _examine(document: dict[str, Any], url: str, num_examples: int, phases: str) -> dict[str, Any]:
    """What schemathesis reports of the routes in a document."""
    with tempfile.TemporaryDirectory() as directory:
        examined, report = Path(directory) / "openapi.json", Path(directory) / "report.json"
        examined.write_text(json.dumps(document))
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(_CONFIGURATION), "run", str(examined)]
        options = {"url": url, "seed": SEED, "phases": phases, "max-examples": num_examples, "report-json-path": report}
        ended = subprocess.run(
            [*command, "--continue-on-failure", *(f"--{name}={value}" for name, value in options.items())],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            print(ended.stdout, ended.stderr)
        found: dict[str, Any] = json.loads(report.read_text())
    return found


def _to_be_examined(document: dict[str, Any], manifest: Manifest) -> dict[str, Any]:
    """The document with names of what is served in its paths, and no way to ask for an answer within a millisecond."""
    timeout = {"$ref": "#/components/parameters/RequestTimeout"}
    examined = copy.deepcopy(document)
    for methods in examined["paths"].values():
        for operation in methods.values():
            operation["parameters"] = [one for one in operation.get("parameters", []) if one != timeout]
            for parameter in operation["parameters"]:
                if parameter.get("in") == "path":
                    parameter["schema"] = {"type": "string", "enum": [_filling(parameter["name"], manifest), "nope"]}
    return examined


def _paths(document: dict[str, Any], manifest: Manifest) -> list[str]:
    """Every documented path that takes a body, with names of what is served."""
    return [
        re.sub(r"{(\w+)}", lambda found: _filling(found[1], manifest), path)
        for path, methods in document["paths"].items()
        if "post" in methods
    ]


def _filling(parameter: str, manifest: Manifest) -> str:
    return {"version": str(manifest.version), "label": "champion"}.get(parameter, manifest.name)


async def _post(url: str, requests: Iterator[Sent]) -> Seen:
    seen = Seen()

    async def work(client: httpx.AsyncClient) -> None:
        # Of one iterator: each takes what no other has taken.
        for sent in requests:
            headers = [(name.encode(), value.encode("latin-1")) for name, value in sent.headers.items()]
            try:
                answer = await client.post(sent.path, headers=headers, content=sent.body)
            except httpx.TransportError as error:
                seen.lost.append((sent, repr(error)))
            else:
                seen.add(sent, answer)

    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_SECONDS) as client:
        await asyncio.gather(*(work(client) for _ in range(_NUM_CONNECTIONS)))
    return seen


def _is_envelope(answer: httpx.Response) -> bool:
    try:
        content = answer.json()
    except ValueError:
        return False
    return (
        isinstance(content, dict)
        and {name: type(value) for name, value in content.items()} == {"error": str, "code": str, "details": list}
        and content["error"] != ""
    )


def _golden_risk(url: str, manifest: Manifest) -> float:
    example = manifest.golden_examples[0]
    sequence = {"event_types": example.event_types, "elapsed_minutes": example.elapsed_minutes}
    answer = httpx.post(f"{url}/v1/score", json={"sequences": [sequence]}, timeout=_TIMEOUT_SECONDS)
    risk: float = answer.raise_for_status().json()["scores"][0]["risk"]
    return risk


def _show(what: str, found: list[tuple[Sent, str]]) -> None:
    """The shortest of the requests, to be sent again."""
    for sent, told in sorted(found, key=lambda one: len(one[0].body))[:_MOST_SHOWN]:
        print(f"{what}: POST {sent.path[:200]} {sent.headers} {sent.body[:500]!r}\n    {told}")


if __name__ == "__main__":
    main()
