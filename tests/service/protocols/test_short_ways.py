"""Requests on the short ways are answered, refused and documented as on FastAPI's own."""

import asyncio
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute

from service.protocols.short_ways import GuardedRouter, PlainRoute


async def _asked_for(request: Request, name: str, version: str) -> str:
    return f"{request.method} {name} {version}"


async def _endpoint(request: Request, asked: Annotated[str, Depends(_asked_for)]) -> Response:
    if "fail" in request.query_params:
        raise KeyError(asked)
    return Response(asked)


def _app(router: APIRouter, route_class: type[APIRoute]) -> FastAPI:
    router.add_api_route(
        "/v9/{name}/{version}", _endpoint, methods=["POST"], response_class=Response, route_class_override=route_class
    )
    app = FastAPI()
    app.include_router(router)

    @app.exception_handler(KeyError)
    async def on_failure(_: Request, failure: KeyError) -> Response:
        return Response(str(failure), 418)

    return app


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("POST", "/v9/tiny/1", 200, "POST tiny 1"),
        ("POST", "/v9/a%20b/x", 200, "POST a b x"),
        ("POST", "/v9/tiny/1?fail", 418, "'POST tiny 1'"),
        ("GET", "/v9/tiny/1", 405, ""),
        ("POST", "/v9/tiny", 404, ""),
        ("POST", "/v8/tiny/1", 404, ""),
    ],
)
def test_a_request_is_answered_as_by_the_framework(method: str, path: str, status: int, text: str) -> None:
    async def ask(app: FastAPI) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.request(method, path)

    short = asyncio.run(ask(_app(GuardedRouter(paths=["/v9/"]), PlainRoute)))
    long = asyncio.run(ask(_app(APIRouter(), APIRoute)))

    assert (short.status_code, short.content, short.headers) == (long.status_code, long.content, long.headers)
    assert short.status_code == status
    assert text in short.text


def test_both_are_documented_alike() -> None:
    short, long = _app(GuardedRouter(paths=["/V9/"]), PlainRoute), _app(APIRouter(), APIRoute)

    assert short.openapi() == long.openapi()
    (operation,) = short.openapi()["paths"]["/v9/{name}/{version}"].values()
    assert [parameter["name"] for parameter in operation["parameters"]] == ["name", "version"]


def test_the_words_of_a_path_may_come_in_any_case() -> None:
    router = GuardedRouter(paths=["/V9/"])
    router.add_api_route("/V9/a", _endpoint, response_class=Response)
    app = FastAPI()
    app.include_router(router)

    async def status(path: str) -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return (await client.post(path)).status_code

    # Found by the router, and then it is for its routes to say.
    assert asyncio.run(status("/V9/a")) == 405
    assert asyncio.run(status("/v8/a")) == 404
