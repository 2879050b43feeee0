"""The README's first screen, done as a newcomer would: serve, send the request, compare the answer."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.server import Server

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def answer(default_server: Server) -> dict[str, object]:
    """What the README's curl line prints, run word for word against another port."""
    request = next(block for block in blocks("sh") if "curl" in block)
    command = request.replace("http://127.0.0.1:8080", default_server.url)
    printed = subprocess.run(["bash", "-c", command], capture_output=True, check=True, timeout=60).stdout
    content: dict[str, object] = json.loads(printed)
    return content
