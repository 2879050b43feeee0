"""Load on a server: wrk for what it can carry (h2load over gRPC), k6 for the tails at a fixed rate.

A closed loop (wrk) slows down with the server and so hides its worst moments; a constant arrival rate (k6) does not.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

_JSON = {"Content-Type": "application/json"}

_WRK_SCRIPT = """
local bodies, turn = {}, 0
function init(arguments)
  local file = io.open(arguments[1], "rb")
  local size = file:read("*n")
  while size do
    file:read(1)
    bodies[#bodies + 1] = file:read(size)
    size = file:read("*n")
  end
  for place = 2, #arguments, 2 do wrk.headers[arguments[place]] = arguments[place + 1] end
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
import exec from 'k6/execution';
import { SharedArray } from 'k6/data';
const bodies = new SharedArray('bodies', () => open(__ENV.BODIES).trim().split('\\n'));
export const options = {
  discardResponseBodies: true,
  summaryTrendStats: ['med', 'p(99)', 'max'],
  scenarios: { steady: { executor: 'constant-arrival-rate', rate: Number(__ENV.RATE), timeUnit: '1s',
    duration: __ENV.SECONDS + 's', preAllocatedVUs: 200, maxVUs: 2000 } },
};
export default function () {
  const body = bodies[exec.scenario.iterationInTest % bodies.length];
  http.post(__ENV.URL, body, { headers: { 'Content-Type': 'application/json' } });
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


def saturate(
    url: str, bodies: Sequence[bytes], *, connections: int, seconds: float, headers: Mapping[str, str] = _JSON
) -> Load:
    """POST `bodies` in turn from `connections` connections, each sending as soon as it is answered.

    Raises:
        ToolMissingError: wrk is not installed.
    """
    with tempfile.TemporaryDirectory() as directory:
        script, sized = Path(directory, "load.lua"), Path(directory, "bodies")
        script.write_text(_WRK_SCRIPT)
        # Bodies may hold any byte, so each follows its length.
        sized.write_bytes(b"".join(b"%d\n%b" % (len(body), body) for body in bodies))
        printed = subprocess.run(
            [
                _tool("wrk", "install the package `wrk` of your system"),
                *("--threads", "1", "--connections", str(connections), "--duration", f"{round(seconds)}s"),
                *("--script", str(script), url, "--", str(sized), *chain.from_iterable(headers.items())),
            ],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    seen = json.loads(printed[printed.index("{") :])
    return Load(
        seen["requests"] / seen["seconds"], seen["p50_ms"], seen["p99_ms"], seen["max_ms"], round(seen["failed"])
    )


def saturate_grpc(url: str, method: str, message: bytes, *, connections: int, streams: int, num_requests: int) -> Load:
    """Call a gRPC method `num_requests` times with the same message, `streams` at a time on each connection.

    A refusal counts as an answer here: its status comes behind a head that says 200.

    Raises:
        ToolMissingError: h2load is not installed.
    """
    with tempfile.TemporaryDirectory() as directory:
        body, log = Path(directory, "body"), Path(directory, "log")
        # Uncompressed, and its length (gRPC over HTTP2, "Length-Prefixed-Message").
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        printed = subprocess.run(
            [
                _tool("h2load", "install the package `nghttp2-client` of your system"),
                *("--clients", str(connections), "--max-concurrent-streams", str(streams)),
                *("--requests", str(num_requests), "--data", str(body), "--log-file", str(log)),
                *("--header", "content-type: application/grpc", "--header", "te: trailers", url + method),
            ],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        # Each line: when it began, its status, how long it took, both in microseconds.
        took_ms = sorted(int(line.split()[2]) / 1e3 for line in log.read_text().splitlines())
    rate = re.search(r"([\d.]+) req/s", printed)
    failed = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", printed)
    if rate is None or failed is None or not took_ms:
        raise RuntimeError(f"Expected h2load to tell its figures. Received: {printed}")
    return Load(
        float(rate[1]),
        took_ms[len(took_ms) // 2],
        took_ms[len(took_ms) * 99 // 100],
        took_ms[-1],
        sum(map(int, failed.groups())),
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
    # Requests that could not even be sent in time are missing from the latencies.
    num_dropped = seen.get("dropped_iterations", {"values": {"count": 0}})["values"]["count"]
    return Load(
        seen["http_reqs"]["values"]["rate"],
        latency["med"],
        latency["p(99)"],
        latency["max"],
        # Of this rate k6 counts the share that failed, and as passes the requests that did.
        round(seen["http_req_failed"]["values"]["passes"] + num_dropped),
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
