import asyncio
import base64
import json
import re
from hashlib import sha256

import httpx
import pytest

from service.app import create_app
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.metrics import Metrics
from service.settings import Settings


def _get(settings: Settings, path: str) -> httpx.Response:
    async def get() -> httpx.Response:
        metrics = Metrics()
        app = create_app(settings, LineUp(settings, metrics), metrics, Lifecycle())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.get(path, headers={"accept": "text/html"})

    return asyncio.run(get())


def test_the_page_may_run_its_own_scripts_and_ask_this_service_alone() -> None:
    answer = _get(Settings(), "/docs")

    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    (script,) = re.findall(r"<script>(.*?)</script>", answer.text, flags=re.DOTALL)
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == f"https://cdn.jsdelivr.net 'sha256-{digest}'"
    assert policy["connect-src"] == "'self'"
    loaded = set(re.findall(r'(?:src|href)="(https?://[^/"]+)', answer.text))
    assert loaded == {"https://cdn.jsdelivr.net"}


def test_where_nothing_may_be_loaded_from_outside_the_page_says_what_to_do() -> None:
    (place,) = re.findall(r'<div id="swagger-ui">(.*?)</div>', _get(Settings(), "/docs").text, flags=re.DOTALL)

    assert 'href="/openapi.json"' in place
    body = json.loads(re.findall(r"-d\s+'(.*?)'", place)[0])
    assert body == {"sequences": [{"event_types": ["Opened/Phone"], "elapsed_minutes": [0]}]}


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/docs/oauth2-redirect", "/redoc"])
def test_switched_off_there_is_no_documentation(path: str) -> None:
    assert _get(Settings(docs=False), path).status_code == 404


def test_switched_off_the_root_still_says_that_the_process_is_alive() -> None:
    assert _get(Settings(docs=False), "/").json() == {"status": "alive"}


def test_the_openapi_document_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, metrics = Settings(), Metrics()
    app = create_app(settings, LineUp(settings, metrics), metrics, Lifecycle())

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.get("/openapi.json")

    first = asyncio.run(get())
    monkeypatch.setattr(json, "dumps", None)
    second = asyncio.run(get())

    assert second.headers["content-type"] == "application/json"
    assert "RequestId" in second.json()["components"]["parameters"]
    assert second.content == first.content
