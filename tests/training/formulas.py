"""The equations of training/README.md in NumPy, event by event for one history, in float64: no masks, no batches."""

from collections.abc import Sequence
from itertools import pairwise

import keras
import numpy as np
from numpy.typing import NDArray

from training.network_config import NetworkConfig

Vector = NDArray[np.float64]
Weights = dict[str, Vector]


def weights_of(network: keras.Model, name: str = "sequence_risk") -> Weights:
    """The weights of a network of that name by their paths, such as `dense/kernel`."""
    return {weight.path.removeprefix(f"{name}/"): weight.numpy().astype(float) for weight in network.weights}


def logits(
    config: NetworkConfig,
    weights: Weights,
    event_ids: Sequence[int],
    elapsed_minutes: Sequence[float],
    further: Sequence[Vector] | None = None,
) -> dict[str, Vector]:
    """All logits at the scoring moment, oldest event first; `further` is what else is known of each event."""
    gaps = [0.0, *(max(a - b, 0.0) for a, b in pairwise(elapsed_minutes))]
    num_ids = len(weights["event_embedding/embeddings"])
    rows = []
    for k, event_id in enumerate(event_ids):
        parts = [weights["event_embedding/embeddings"][event_id]]
        parts += [np.array([value]) for value in times(config.time, float(elapsed_minutes[k]), gaps[k])]
        if further is not None:
            parts.append(further[k])
        if config.aggregates_into == "input":
            parts.append(narrowed(weights, aggregates(config, event_ids[: k + 1], gaps[: k + 1], 0.0, num_ids)))
        rows.append(np.concatenate(parts))
    if config.convolution_width:
        rows = convolution(rows, weights["convolution/kernel"], weights["convolution/bias"])
    for layer in range(1, config.lstm_layers + 1):
        rows = recurrent_layer(config, weights, "lstm" if layer == 1 else f"lstm_{layer}", rows, gaps)
    last = narrowed(weights, aggregates(config, event_ids, gaps, float(elapsed_minutes[-1]), num_ids))
    return heads(config, weights, rows[-1], last if config.aggregates_into == "head" else np.zeros(0))


def times(time: str, elapsed: float, gap: float) -> list[float]:
    return {
        "none": [],
        "elapsed": [elapsed],
        "log_elapsed": [np.log(1 + elapsed)],
        "log_gap": [np.log(1 + gap)],
        "both": [np.log(1 + elapsed), np.log(1 + gap)],
    }[time]


def aggregates(
    config: NetworkConfig, event_ids: Sequence[int], gaps: Sequence[float], since_last: float, num_ids: int
) -> Vector:
    values: list[float] = []
    pieces: list[float] = []
    for name in config.aggregates:
        if name == "counts":
            values += [float(np.log(1 + list(event_ids).count(event_id))) for event_id in range(1, num_ids)]
            continue
        amount = {
            "length": len(event_ids),
            "since_start": sum(gaps),
            "last_gap": gaps[-1],
            "largest_gap": max(gaps),
            "mean_gap": sum(gaps[1:]) / (len(gaps) - 1) if len(gaps) > 1 else 0.0,
            "since_last": since_last,
        }[name]
        values.append(float(np.log(1 + amount)))
        step = 15 / config.aggregate_pieces if config.aggregate_pieces else 1.0
        # Empty below its beginning, full above its end.
        pieces += [min(max((values[-1] - piece * step) / step, 0.0), 1.0) for piece in range(config.aggregate_pieces)]
    return np.array(values + pieces, float)


def narrowed(weights: Weights, row: Vector) -> Vector:
    name = "narrow_aggregates/kernel"
    return row @ weights[name] if name in weights else row


def convolution(rows: list[Vector], kernel: Vector, bias: Vector) -> list[Vector]:
    width = len(kernel)
    padded = [np.zeros_like(rows[0])] * (width - 1) + rows
    return [
        np.maximum(sum(padded[k + tap] @ kernel[tap] for tap in range(width)) + bias, 0.0) for k in range(len(rows))
    ]


def recurrent_layer(
    config: NetworkConfig, weights: Weights, name: str, rows: list[Vector], gaps: list[float]
) -> list[Vector]:
    (kernel_path,) = (
        path for path in weights if path.startswith(f"{name}/") and path.endswith(("lstm_cell/kernel", "/cell/kernel"))
    )
    cell = kernel_path.removesuffix("kernel")
    own = {path.removeprefix(cell): weight for path, weight in weights.items() if path.startswith(cell)}
    h = c = np.zeros(config.lstm_units)
    fed_back = np.zeros(config.feedback_width if config.feedback != "none" else 0)
    seen: list[Vector] = []
    states = []
    for row, gap in zip(rows, gaps, strict=True):
        if config.decay != "none":
            c = faded(config.decay, own, "gate_of_c/", state=c, row=row, gap=gap)
        if config.decay_of == "c_and_h":
            h = faded(config.decay, own, "gate_of_h/", state=h, row=row, gap=gap)
        x = np.concatenate([row, fed_back])
        i, f, g, o = np.split(x @ own["kernel"] + h @ own["recurrent_kernel"] + own["bias"], 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
        if config.feedback == "projection":
            fed_back = np.tanh(h @ own["feedback_kernel"] + own["feedback_bias"])
        elif config.feedback == "attention":
            seen = [*seen, h][-config.feedback_memory :]
            memory = np.array(seen)
            attention = softmax(memory @ (h @ own["query_kernel"]) / np.sqrt(config.lstm_units))
            fed_back = np.tanh(np.concatenate([h, attention @ memory]) @ own["feedback_kernel"] + own["feedback_bias"])
    return states


def faded(decay: str, own: Weights, gate: str, *, state: Vector, row: Vector, gap: float) -> Vector:
    if decay == "t_lstm":
        short_term = np.tanh(state @ own[gate + "kernel"] + own[gate + "bias"])
        return (state - short_term) + short_term / np.log(np.e + gap)
    raw = own[gate + "raw_rates"]
    if decay == "hyperbolic":
        return state / (1 + softplus(raw) * gap)
    if decay == "exponential":
        return state * np.exp(-softplus(raw) * gap)
    if decay == "power":
        return state * (1 + softplus(raw) * gap) ** -softplus(own[gate + "raw_powers"])
    assert decay == "input_dependent"
    return state * np.exp(-softplus(row @ own[gate + "kernel"] + raw) * gap)


def heads(config: NetworkConfig, weights: Weights, h: Vector, aggregated: Vector) -> dict[str, Vector]:
    def dense(name: str, x: Vector) -> Vector:
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    hidden = np.maximum(dense("dense", np.concatenate([h, aggregated])), 0.0)
    risk = dense("risk", hidden)
    if config.risk_head == "softmax":
        probability = softmax(risk)[1:]
        risk = np.log(probability / (1 - probability))
    label_weights = np.broadcast_to(config.positive_weights, (config.num_labels,))
    found = {
        "risk": risk - np.log(label_weights[0]),
        "auxiliary_risk": dense("auxiliary_risk", h) - np.log(config.auxiliary_positive_weight),
    }
    if config.num_labels > 1:
        found["further_risks"] = dense("further_risks", hidden) - np.log(label_weights[1:])
    if config.auxiliary_target != "label":
        found[config.auxiliary_target] = dense(config.auxiliary_target, h)
    return found


def sigmoid(x: Vector) -> Vector:
    return 1 / (1 + np.exp(-x))


def softplus(x: Vector) -> Vector:
    return np.log(1 + np.exp(x))


def softmax(x: Vector) -> Vector:
    exponentials = np.exp(x)
    return exponentials / exponentials.sum()
