"""What a browser gets: the documentation, to read and to try."""

import base64
import re
from hashlib import sha256

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from service.settings import Settings

OPENAPI_PATH = "/openapi.json"
_PATH = "/docs"
# Where the framework's page has its scripts and styles from.
_CDN = "https://cdn.jsdelivr.net"
_NO_ICON = "data:,"
_WITHOUT_CDN = f"""
<p>This page is drawn by Swagger UI, which comes from {_CDN}. If nothing appears, your network has no way there:
read <a href="{OPENAPI_PATH}">the OpenAPI document</a> instead, or ask at once:</p>
<pre>curl -s http://HOST:PORT/v1/score -d \
  '{{"sequences": [{{"event_types": ["Opened/Phone"], "elapsed_minutes": [0]}}]}}'</pre>
""".encode()


def create_router(settings: Settings) -> APIRouter:
    """The root, and the page unless it is switched off."""
    router = APIRouter()

    async def read_root(request: Request) -> Response:
        """A browser is led to the documentation; a client of KServe asks here whether the process is alive."""
        if settings.docs and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(_PATH)
        return JSONResponse({"status": "alive"})

    router.add_api_route("/", read_root, include_in_schema=False)
    if settings.docs:
        page = _page()

        async def read_page() -> Response:
            return page

        router.add_api_route(_PATH, read_page, include_in_schema=False)
    return router


def add_document(app: FastAPI) -> None:
    """The route of the OpenAPI document: writing it as JSON takes milliseconds, and is done once."""
    document: Response | None = None

    async def read_document(_: Request) -> Response:
        nonlocal document
        if document is None:
            document = JSONResponse(app.openapi())
        return document

    app.add_route(OPENAPI_PATH, read_document, include_in_schema=False)


def _page() -> Response:
    """Swagger UI, which may run its own scripts and ask this service, and nothing else."""
    made = get_swagger_ui_html(openapi_url=OPENAPI_PATH, title="seqrisk", swagger_favicon_url=_NO_ICON)
    # Swagger UI puts itself in its place; where nothing may be loaded from outside, it is what there is to read.
    page = HTMLResponse(bytes(made.body).replace(b'<div id="swagger-ui">', b'<div id="swagger-ui">' + _WITHOUT_CDN))
    scripts = re.findall(rb"<script>(.*?)</script>", bytes(page.body), flags=re.DOTALL)
    digests = " ".join(f"'sha256-{base64.b64encode(sha256(script).digest()).decode()}'" for script in scripts)
    page.headers["Content-Security-Policy"] = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_CDN} {digests}",
            f"style-src {_CDN} 'unsafe-inline'",
            "img-src data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    return page
