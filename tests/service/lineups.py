"""Line-ups of small repositories, what they are asked, and what may be wrong with an artifact."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.sequences import EncodedBatch
from service.lineup import LineUp
from service.live_model import LiveModel
from service.metrics import Metrics
from service.settings import Settings
from service.versions import ModelStatus


def settings_for(repository: Path, **chosen: str | float) -> Settings:
    return Settings.model_validate(
        {"repository": str(repository), "device": "cpu", "slots": 2, "max_batch": 2, "poll_seconds": 0, **chosen}
    )


def wait_while_loading(lineup: LineUp) -> None:
    while lineup.status().state == "loading":
        time.sleep(0.01)


def load(settings: Settings) -> tuple[LineUp, ModelStatus]:
    lineup = LineUp(settings, Metrics())
    asyncio.run(lineup.start())
    wait_while_loading(lineup)
    return lineup, lineup.status()


def encoded(champion: LiveModel, *lengths: int) -> EncodedBatch:
    return champion.encode(
        [("New/P3",) * length for length in lengths], [tuple(range(length - 1, -1, -1)) for length in lengths]
    )


def encoded_examples(champion: LiveModel) -> EncodedBatch:
    examples = champion.manifest.golden_examples
    return champion.encode(
        [example.event_types for example in examples], [example.elapsed_minutes for example in examples]
    )


def flip_a_weight(version: Path) -> None:
    path = next((version / "variables").glob("variables.data*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit_manifest(edit: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def tamper(version: Path) -> None:
        path = version / "manifest.json"
        manifest = json.loads(path.read_bytes())
        edit(manifest)
        path.write_text(json.dumps(manifest))

    return tamper


def change_golden(output: str) -> Callable[[Path], None]:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["golden_examples"][1][output] += 0.001

    return edit_manifest(edit)
