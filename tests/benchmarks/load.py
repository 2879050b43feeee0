"""Load on a server: wrk for what it can carry, k6 for the tails at a fixed rate.

A closed loop (wrk) slows down with the server and so hides its worst moments; a constant arrival rate (k6) does not.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_WRK_SCRIPT = """
local bodies, turn = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do bodies[#bodies + 1] = line end
  wrk.headers["Content-Type"] = "application/json"
  turn = math.random(#bodies)
end
function request()
  turn = turn % #bodies + 1
  return wrk.format("POST", nil, nil, bodies[turn])
end
function done(summary, latency)
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "max_ms": %f, "failed": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, summary.errors.status + summary.errors.connect + summary.errors.read +
    summary.errors.write + summary.errors.timeout))
end
"""

_K6_SCRIPT = """
import http from 'k6/http';
import { SharedArray } from 'k6/data';
const bodies = new SharedArray('bodies', () => open(__ENV.BODIES).trim().split('\\n'));
export const options = {
  discardResponseBodies: true,
  summaryTrendStats: ['med', 'p(99)', 'max'],
  scenarios: { steady: { executor: 'constant-arrival-rate', rate: Number(__ENV.RATE), timeUnit: '1s',
    duration: __ENV.SECONDS + 's', preAllocatedVUs: 200, maxVUs: 2000 } },
};
export default function () {
  http.post(__ENV.URL, bodies[__ITER % bodies.length], { headers: { 'Content-Type': 'application/json' } });
}
export function handleSummary(data) { return { stdout: JSON.stringify(data.metrics) }; }
"""


class ToolMissingError(RuntimeError):
    """A load generator is not installed; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of a load generator saw.

    Attributes:
        requests_per_second: Answers a second, failures included.
        p50_ms: Median latency.
        p99_ms: 99th percentile of the latency.
        max_ms: Longest latency.
        failed: Answers other than 2xx and 3xx, and connections that broke.
    """

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    failed: int


def saturate(url: str, bodies: Sequence[bytes], *, connections: int, seconds: float) -> Load:
    """POST `bodies` in turn from `connections` connections, each sending as soon as it is answered.

    Raises:
        ToolMissingError: wrk is not installed.
    """
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory, "load.lua")
        script.write_text(_WRK_SCRIPT)
        printed = subprocess.run(
            [
                _tool("wrk", "install the package `wrk` of your system"),
                *("--threads", "1", "--connections", str(connections), "--duration", f"{round(seconds)}s"),
                *("--script", str(script), url, "--", str(_written(bodies, directory))),
            ],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    seen = json.loads(printed[printed.index("{") :])
    return Load(
        seen["requests"] / seen["seconds"], seen["p50_ms"], seen["p99_ms"], seen["max_ms"], round(seen["failed"])
    )


def hold_rate(url: str, bodies: Sequence[bytes], *, requests_per_second: float, seconds: float) -> Load:
    """POST `bodies` in turn at a fixed rate, however slowly they are answered.

    Raises:
        ToolMissingError: k6 is not installed.
    """
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory, "load.js")
        script.write_text(_K6_SCRIPT)
        printed = subprocess.run(
            [
                _tool("k6", "it comes with the development environment (`make test` makes it)"),
                *("run", "--quiet", "--no-usage-report", "--address", ""),
                *("-e", f"URL={url}", "-e", f"BODIES={_written(bodies, directory)}"),
                *("-e", f"RATE={round(requests_per_second)}", "-e", f"SECONDS={round(seconds)}", str(script)),
            ],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    seen = json.loads(printed[printed.index("{") :])
    latency = seen["http_req_duration"]["values"]
    return Load(
        seen["http_reqs"]["values"]["rate"],
        latency["med"],
        latency["p(99)"],
        latency["max"],
        # Of this rate k6 counts the share that failed, and as passes the requests that did.
        round(seen["http_req_failed"]["values"]["passes"]),
    )


def _written(bodies: Sequence[bytes], directory: str) -> Path:
    path = Path(directory, "bodies.jsonl")
    path.write_bytes(b"\n".join(bodies) + b"\n")
    return path


def _tool(name: str, remedy: str) -> str:
    # k6 comes with the development environment, beside its Python.
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if path is None:
        raise ToolMissingError(f"Expected {name} on the PATH. Received: none; {remedy}.")
    return path
