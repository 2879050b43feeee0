import re

import keras
import numpy as np
import pytest

from training.fit import FitResult
from training.fit_state import EpochFigures
from training.network import build_network
from training.network_config import Decay, NetworkConfig
from training.network_figures import (
    _MINUTES,
    _kept,
    _principal_components,
    decay_curves,
    embedding_map,
    training_curves,
)
from training.time_gates import time_gate

CONFIG = NetworkConfig(decay="exponential", embedding_width=3, lstm_units=4, dense_units=2)
SHARES = {"pay": 0.5, "<script>alert(1)</script>": 0.3, "$\\frac": 0.15, "注文\x00\n" + "x" * 200: 0.05}


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return build_network(CONFIG, len(SHARES) + 2, 0.0, is_portable=True)


def test_decay_curves_have_a_line_a_unit_and_one_for_the_median(network: keras.Model) -> None:
    drawing = decay_curves(network, CONFIG)

    assert drawing is not None
    lines = re.findall(r'<path d="([^"]+)"[^>]*style="fill: none; stroke: var\(--(network|label-1)\)', drawing.svg)
    assert sum(line.count("L") > 20 for line, _ in lines) == CONFIG.lstm_units + 1


def test_a_network_without_a_decay_has_no_curves(network: keras.Model) -> None:
    assert decay_curves(network, NetworkConfig()) is None


@pytest.mark.parametrize("decay", ["exponential", "hyperbolic", "power", "input_dependent"])
def test_curves_are_those_of_the_gate_as_it_starts(decay: Decay) -> None:
    gate = time_gate(decay, 3, (10.0, 1000.0), "gate")
    gate.build((None, 5))

    over_tau = _MINUTES[:, None] / np.array([1000.0, 100.0, 10.0])
    expected = np.exp(-over_tau) if decay in {"exponential", "input_dependent"} else 1 / (1 + over_tau)
    assert _kept(gate) == pytest.approx(expected, abs=1e-5)


def test_the_map_names_event_types_whatever_they_hold(network: keras.Model) -> None:
    svg = embedding_map(network, SHARES).svg

    assert "&lt;script&gt;" in svg
    assert "<script" not in svg
    assert "$\\frac" in svg
    assert svg.count("<use ") >= 2


def test_the_map_keeps_distances_of_what_lies_in_a_plane() -> None:
    plane = np.random.default_rng(0).standard_normal((6, 2)) @ np.random.default_rng(1).standard_normal((2, 5))

    points, explained = _principal_components(plane)

    assert np.linalg.norm(points[0] - points[4]) == pytest.approx(np.linalg.norm(plane[0] - plane[4]))
    assert explained.sum() == pytest.approx(1)
    assert _principal_components(plane[:1])[0].tolist() == [[0, 0]]


def test_training_curves_hold_every_epoch() -> None:
    epochs = tuple(EpochFigures(0.7 - 0.01 * epoch, 0.6, 1.0, 100.0) for epoch in range(9))

    drawing = training_curves(FitResult(9, 4, 0.6, epochs))

    assert drawing is not None
    lines = re.findall(r'<path d="([^"]+)"[^>]*style="fill: none; stroke: var\(--(?:network|label-0)\)', drawing.svg)
    assert [line.count("L") for line in lines] == [8, 8]
    assert training_curves(FitResult(1, 1, 0.6)) is None
