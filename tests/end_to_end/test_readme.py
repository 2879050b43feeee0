"""The README's first screen, done as a newcomer would: serve, send the request, compare the answer."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.servers import Running, service

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def block(language: str, word: str) -> str:
    """The README's first block of a language that holds a word."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(text for text in blocks if word in text)


@pytest.fixture(scope="module")
def default_service() -> Iterator[Running]:
    # The README shows the committed version; whoever trains has newer ones.
    with service(ROOT / "models" / "artifacts", version=1, max_batch=4) as server:
        yield server


@pytest.fixture(scope="module")
def answer(default_service: Running) -> dict[str, Any]:
    """What the README's curl line prints, run word for word but for the port."""
    command = block("sh", "curl").replace("http://127.0.0.1:8080", default_service.url)
    printed = subprocess.run(["bash", "-c", command], capture_output=True, check=True, timeout=60).stdout
    content: dict[str, Any] = json.loads(printed)
    return content


def test_the_readme_shows_the_answer_to_its_request(answer: dict[str, Any]) -> None:
    shown = json.loads(block("json", "scores"))

    assert answer.keys() == shown.keys()
    assert answer["model"] == shown["model"]
    for score, shown_score in zip(answer["scores"], shown["scores"], strict=True):
        assert score == pytest.approx(shown_score, abs=5e-5)


def test_every_relative_link_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", README)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
