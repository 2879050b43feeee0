"""Who is let in, asked of the whole application; and of a real service over TLS while its keys change."""

import asyncio
import logging
import re
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from service.app import create_app
from service.client import Client, ScoringError
from service.entrance import Entrance
from service.keys import line_of, new_key
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.logs import JsonFormatter, TextFormatter
from service.metrics import Metrics
from service.settings import Settings
from service.versions import ModelStatus
from tests.service.certificates import write_certificate
from tests.service.conftest import STOP_SECONDS, Service, start_in
from tests.service.live_models import live_model, manifest

SOUND = {"event_types": ["7"], "elapsed_minutes": [0.0]}
ONE = {"sequences": [SOUND]}
SCORER, SCRAPER, SLOW, NARROW = (new_key() for _ in range(4))
OPEN = {
    "/",
    "/livez",
    "/readyz",
    "/ping",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/{name}/ready",
    "/v2/models/{name}/versions/{version}/ready",
    "/docs",
    "/openapi.json",
}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    lines = (
        line_of("scorer", SCORER),
        line_of("scraper", SCRAPER).replace(" }", ', may = ["metrics"] }'),
        line_of("slow", SLOW).replace(" }", ", sequences_per_second = 0.01 }"),
        line_of("narrow", NARROW).replace(" }", ", max_concurrent_requests = 1 }"),
    )
    path.write_text("\n".join(lines))
    return path


def _app(settings: Settings, before: Callable[[], object] = int) -> tuple[Entrance, Metrics]:
    metrics = Metrics()
    lineup = LineUp(settings, metrics)
    champion = live_model(manifest(), version=1, before=before)
    lineup._follower.champion = champion
    lineup._follower.status = ModelStatus(champion.manifest.name, 1, "ready", "", champion.manifest)
    return create_app(settings, lineup, metrics, Lifecycle()), metrics


def _ask(app: Entrance, ask: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> httpx.Response:
    async def asking() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await ask(client)

    return asyncio.run(asking())


def _score(app: Entrance, key: str | None, num_sequences: int = 1) -> httpx.Response:
    headers = {} if key is None else {"X-API-Key": key}
    body = {"sequences": [SOUND] * num_sequences}
    return _ask(app, lambda client: client.post("/v1/score", json=body, headers=headers))


def _refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_every_path_needs_a_key_but_those_of_probes_and_documentation(key_file: Path) -> None:
    """Paths that do not exist as well, so that nobody learns which do."""
    app, _ = _app(Settings(api_keys_file=key_file, vertex_health_route="/health", vertex_predict_route="/health"))
    paths = {*app.app.openapi()["paths"], "/", "/docs", "/openapi.json", "/nowhere", "/V1/MODELS/TINY", "/livez/"}
    refused = {
        method: {
            path
            for path in paths
            if _ask(app, lambda client, m=method, p=path: client.request(m, p)).status_code == 401  # type: ignore[misc]
        }
        for method in ("GET", "POST", "DELETE")
    }

    assert paths - refused["GET"] == OPEN | {"/health"}
    assert refused["POST"] == refused["DELETE"] == paths


def test_without_a_file_of_keys_nobody_needs_one() -> None:
    app, _ = _app(Settings())

    assert _score(app, None).status_code == 200
    assert _ask(app, lambda client: client.get("/metrics")).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code", "challenge"),
    [
        ({}, "missing_key", 'Bearer realm="seqrisk"'),
        ({"Authorization": f"Basic {SCORER}"}, "missing_key", 'Bearer realm="seqrisk"'),
        ({"Authorization": f"Bearer {new_key()}"}, "wrong_key", 'Bearer realm="seqrisk", error="invalid_token"'),
        ({"X-API-Key": SCORER[:-1]}, "wrong_key", 'Bearer realm="seqrisk", error="invalid_token"'),
        ({"X-API-Key": "", "Authorization": f"Bearer {SCORER}"}, "wrong_key", None),
    ],
)
def test_a_missing_or_wrong_key_is_401_and_says_what_is_asked_for(
    key_file: Path, headers: dict[str, str], code: str, challenge: str | None
) -> None:
    app, metrics = _app(Settings(api_keys_file=key_file))

    answer = _ask(app, lambda client: client.post("/v1/score", json=ONE, headers=headers))

    assert _refused(answer) == (401, code)
    assert challenge is None or answer.headers["www-authenticate"] == challenge
    assert answer.headers["x-request-id"]
    labels = {"route": "/v1/score", "code": code}
    assert metrics.registry.get_sample_value("seqrisk_rejects_total", labels) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {SCORER}"},
        {"Authorization": f"bearer  {SCORER} "},
        {"X-API-Key": SCORER},
        {"Authorization": "Basic somebody-else", "X-API-Key": SCORER},
    ],
)
def test_a_right_key_scores_however_it_is_presented(key_file: Path, headers: dict[str, str]) -> None:
    app, metrics = _app(Settings(api_keys_file=key_file))

    answer = _ask(app, lambda client: client.post("/v1/score", json=ONE, headers=headers))

    assert answer.status_code == 200
    labels = {"key": "scorer", "result": "let_in"}
    assert metrics.registry.get_sample_value("seqrisk_key_requests_total", labels) == 1


def test_a_key_may_do_what_the_file_says_and_nothing_else(key_file: Path) -> None:
    app, metrics = _app(Settings(api_keys_file=key_file))

    assert _refused(_score(app, SCRAPER)) == (403, "forbidden")
    for key, status in ((SCRAPER, 200), (SCORER, 403), ("", 401)):
        assert _ask(app, lambda c, k=key: c.get("/metrics", headers={"X-API-Key": k})).status_code == status  # type: ignore[misc]
    labels = {"key": "scraper", "result": "forbidden"}
    assert metrics.registry.get_sample_value("seqrisk_key_requests_total", labels) == 1


def test_metrics_may_be_shown_to_everybody(key_file: Path) -> None:
    app, _ = _app(Settings(api_keys_file=key_file, open_metrics=True))

    assert _ask(app, lambda client: client.get("/metrics")).status_code == 200
    assert _score(app, None).status_code == 401


def test_a_keys_rate_counts_sequences_and_is_its_own(key_file: Path) -> None:
    app, metrics = _app(Settings(api_keys_file=key_file))

    assert _score(app, SLOW, num_sequences=3).status_code == 200
    answer = _score(app, SLOW)

    assert _refused(answer) == (429, "rate_limited")
    # A token a hundred seconds: two that are owed, and one to come in with.
    assert 290 < int(answer.headers["retry-after"]) <= 300
    assert _score(app, SCORER, num_sequences=3).status_code == 200
    labels = {"key": "slow", "result": "rate_limited"}
    assert metrics.registry.get_sample_value("seqrisk_key_requests_total", labels) == 1


def test_a_rate_holds_for_tensors_as_well(key_file: Path) -> None:
    app, _ = _app(Settings(api_keys_file=key_file))

    def predict() -> httpx.Response:
        body = {"instances": [{"event_types": ["7"], "elapsed_minutes": [0]}] * 3}
        return _ask(app, lambda client: client.post("/invocations", json=body, headers={"X-API-Key": SLOW}))

    assert predict().status_code == 200
    assert int(predict().headers["retry-after"]) > 290


def test_a_key_has_no_more_requests_at_a_time_than_it_may(key_file: Path) -> None:
    is_running, may_run = threading.Event(), threading.Event()

    def hold() -> None:
        is_running.set()
        may_run.wait()

    app, _ = _app(Settings(api_keys_file=key_file), before=hold)

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        def score() -> Awaitable[httpx.Response]:
            return client.post("/v1/score", json=ONE, headers={"X-API-Key": NARROW})

        first = asyncio.ensure_future(score())
        await asyncio.to_thread(is_running.wait)
        second = await score()
        may_run.set()
        assert (await first).status_code == 200
        assert (await score()).status_code == 200
        return second

    second = _ask(app, ask)
    assert _refused(second) == (429, "concurrency_limited")
    assert int(second.headers["retry-after"]) == 1


def test_an_unchanged_allowance_survives_a_change_of_the_file(key_file: Path) -> None:
    app, _ = _app(Settings(api_keys_file=key_file))
    guard = app._guard
    assert guard is not None
    _score(app, SLOW)

    guard._take(guard._key_file.keys)
    assert _score(app, SLOW).status_code == 429

    looser = guard._key_file.keys["slow"].model_copy(update={"sequences_per_second": 100.0})
    guard._take({**guard._key_file.keys, "slow": looser})
    assert _score(app, SLOW).status_code == 200


def test_the_document_says_which_paths_need_a_key(key_file: Path) -> None:
    app, _ = _app(Settings(api_keys_file=key_file))
    document = app.app.openapi()

    assert document["security"] == [{scheme: []} for scheme in document["components"]["securitySchemes"]]
    opened = {path for path, methods in document["paths"].items() if methods.get("get", {}).get("security") == []}
    assert opened == OPEN & set(document["paths"])


def test_the_document_says_what_a_key_may_be_refused_for(key_file: Path) -> None:
    app, _ = _app(Settings(api_keys_file=key_file))
    operations = [one for methods in app.app.openapi()["paths"].values() for one in methods.values()]
    told = {"401": "WWW-Authenticate", "403": "WWW-Authenticate", "429": "Retry-After"}

    for operation in operations:
        responses, is_open = operation["responses"], operation.get("security") == []
        assert {"401", "429"} & {*responses} == (set() if is_open else {"401", "429"})
        for status, header in told.items():
            if not is_open and responses[status]["description"] != "Always.":
                assert {header, "X-Request-Id"} <= {*responses[status]["headers"]}
                assert responses[status]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer")


def test_a_key_where_it_does_not_belong_is_kept_out_of_the_log(
    key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = _app(Settings(api_keys_file=key_file))
    with caplog.at_level(logging.DEBUG, "service"):
        _ask(app, lambda client: client.get(f"/v1/models/{SCORER}", headers={"X-API-Key": SCORER}))

    assert SCORER in caplog.text
    for formatter in (JsonFormatter(), TextFormatter()):
        assert not any(SCORER in formatter.format(record) for record in caplog.records)


# From here on, a process of its own: keys mounted as Kubernetes mounts them, TLS, gRPC.


class Running:
    """A service over TLS whose keys may be exchanged."""

    def __init__(self, directory: Path, repository: Path) -> None:
        self.keys = [new_key(), new_key()]
        self._directory = directory
        self._num_files = 0
        self.mount(self.keys[:1])
        (directory / "keys.toml").symlink_to("..data/keys.toml")
        self.certificate, key = write_certificate(directory)
        settings = {
            "SEQRISK_REPOSITORY": str(repository),
            "SEQRISK_GRPC_PORT": "0",
            "SEQRISK_API_KEYS_FILE": str(directory / "keys.toml"),
            "SEQRISK_TLS_CERTIFICATE_FILE": str(self.certificate),
            "SEQRISK_TLS_KEY_FILE": str(key),
            "SEQRISK_LOG_LEVEL": "debug",
        }
        self.service: Service = start_in(directory, settings)
        self.url = self.service.address()

    def mount(self, keys: list[str]) -> None:
        """Let these be the keys, as Kubernetes renews a Secret: a new directory, and one rename."""
        self._num_files += 1
        files = self._directory / f"..{self._num_files}"
        files.mkdir()
        lines = [line_of(f"team-{self.keys.index(key)}", key) for key in keys]
        (files / "keys.toml").write_text("\n".join(lines).replace(" }", ', may = ["score", "metrics"] }'))
        (self._directory / "..data_tmp").symlink_to(files.name)
        (self._directory / "..data_tmp").rename(self._directory / "..data")

    def status(self, key: str | None) -> int:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        with httpx.Client(verify=self.context(), timeout=60) as client:
            return client.post(f"{self.url}/v1/score", json=ONE, headers=headers).status_code

    def wait_for(self, status: int, key: str) -> set[int]:
        """Every status until there is this one."""
        met = set[int]()
        until = time.monotonic() + STOP_SECONDS
        while status not in met and time.monotonic() < until:
            met.add(self.status(key))
        return met

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def grpc_address(self) -> str:
        found = re.search(r"gRPC is answered on ([\d.]+), port (\d+)", self.service.errors.read_text())
        assert found is not None
        return f"{found[1]}:{found[2]}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("running"), repository)
    yield running
    assert running.service.stop() == 0
    said = running.service.output.read_text() + running.service.errors.read_text()
    assert "Traceback" not in said
    assert not any(key in said for key in running.keys)


def test_while_the_model_loads_only_those_with_a_key_are_told_so(running: Running) -> None:
    assert (running.status(None), running.status(new_key())) == (401, 401)
    assert running.status(running.keys[0]) in {200, 503}


def test_a_key_scores_over_tls_through_the_client(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(running.certificate))
    running.service.expect_output(r"(is ready)")

    with Client(running.url, api_key=running.keys[0]) as client:
        assert client.models()[0].name == "tiny"
        assert len(client.score([SOUND])["scores"]) == 1  # type: ignore[list-item]
    with Client(running.url) as client, pytest.raises(ScoringError) as refusal:
        client.score([SOUND])  # type: ignore[list-item]
    assert (refusal.value.status, refusal.value.code) == (401, "missing_key")


def test_over_tls_browsers_are_told_to_stay_there(running: Running) -> None:
    with httpx.Client(verify=running.context()) as client:
        assert "max-age" in client.get(f"{running.url}/livez").headers["strict-transport-security"]
    with pytest.raises(httpx.TransportError):
        httpx.get(running.url.replace("https", "http") + "/livez")


def test_grpc_asks_for_the_key_over_tls_too(running: Running) -> None:
    running.service.expect_output(r"(is ready)")
    events = triton.InferInput("event_ids", [1, 1], "INT64")
    events.set_data_from_numpy(np.array([[2]], np.int64))
    minutes = triton.InferInput("elapsed_minutes", [1, 1], "FP32")
    minutes.set_data_from_numpy(np.zeros((1, 1), np.float32))
    credentials = grpc.ssl_channel_credentials(running.certificate.read_bytes())
    with triton.InferenceServerClient(running.grpc_address(), ssl=True, creds=credentials) as client:
        for name, value in (("authorization", f"Bearer {running.keys[0]}"), ("x-api-key", running.keys[0])):
            assert client.infer("tiny", [events, minutes], headers={name: value}).as_numpy("risk").shape == (1,)
        assert client.is_server_live()
        assert client.is_server_ready()
        for headers in ({}, {"x-api-key": new_key()}):
            with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
                client.infer("tiny", [events, minutes], headers=headers)


def test_a_key_is_exchanged_and_revoked_while_the_service_runs(running: Running) -> None:
    old, new = running.keys
    running.service.expect_output(r"(is ready)")
    assert (running.status(old), running.status(new)) == (200, 401)

    running.mount([old, new])
    assert running.wait_for(200, new) == {401, 200}
    assert running.status(old) == 200
    running.mount([new])
    assert running.wait_for(401, old) == {200, 401}
    assert running.status(new) == 200

    with httpx.Client(verify=running.context()) as client:
        metrics = client.get(f"{running.url}/metrics", headers={"X-API-Key": new}).text
    assert 'seqrisk_key_file_changes_total{result="taken"} 2.0' in metrics
    assert not any(key in metrics for key in running.keys)
