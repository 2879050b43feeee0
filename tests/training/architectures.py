"""Every architecture, tiny: one table for the tests of formulas, padding, saving, stepping and export."""

import keras
import numpy as np
from numpy.typing import NDArray

from training.network import build_network
from training.network_config import Aggregate, NetworkConfig

VOCABULARY_SIZE = 6
EVERY_AGGREGATE: tuple[Aggregate, ...] = ("counts", "length", "since_start", "last_gap", "largest_gap", "mean_gap")

_CHANGES: dict[str, dict[str, object]] = {
    "default": {},
    "time_none": {"time": "none"},
    "time_elapsed": {"time": "elapsed"},
    "time_log_elapsed": {"time": "log_elapsed"},
    "time_both": {"time": "both"},
    "hyperbolic": {"decay": "hyperbolic", "time": "none"},
    "exponential": {"decay": "exponential"},
    "power": {"decay": "power", "decay_minutes": (10.0, 500.0)},
    "t_lstm": {"decay": "t_lstm"},
    "input_dependent_c_and_h": {"decay": "input_dependent", "decay_of": "c_and_h", "time": "none"},
    "aggregates_head": {"aggregates": EVERY_AGGREGATE},
    "since_last": {"aggregates": ("length", "since_last")},
    "aggregates_input": {"aggregates": EVERY_AGGREGATE, "aggregates_into": "input"},
    "pieces_head": {"aggregates": (*EVERY_AGGREGATE, "since_last"), "aggregate_pieces": 4},
    "pieces_input": {"aggregates": ("since_start", "counts"), "aggregate_pieces": 30, "aggregates_into": "input"},
    "narrow_head": {"aggregates": EVERY_AGGREGATE, "aggregate_pieces": 4, "aggregate_width": 3},
    "narrow_input": {
        "aggregates": ("since_start", "counts"),
        "aggregate_pieces": 30,
        "aggregates_into": "input",
        "aggregate_width": 5,
        "convolution_width": 2,
    },
    "stacked": {"lstm_layers": 2},
    "projection": {"feedback": "projection", "feedback_width": 2},
    "attention": {"feedback": "attention", "feedback_width": 2, "feedback_memory": 2},
    "attention_decay": {"feedback": "attention", "feedback_memory": 3, "decay": "exponential", "decay_of": "c_and_h"},
    "convolution_1": {"convolution_width": 1, "convolution_filters": 3},
    "convolution_3": {"convolution_width": 3, "convolution_filters": 4},
    "softmax": {"risk_head": "softmax", "time": "both"},
    "labels": {"num_labels": 3, "positive_weights": (4.0, 1.0, 0.5), "auxiliary_positive_weight": 2.0},
    "next_event": {"auxiliary_target": "next_event"},
    "minutes_to_next_event": {"auxiliary_target": "minutes_to_next_event"},
    "dropouts": {
        "element_dropout": 0.1,
        "event_dropout": 0.1,
        "feature_dropout": 0.1,
        "input_dropout": 0.1,
        "recurrent_dropout": 0.1,
        "lstm_layers": 2,
        "between_dropout": 0.1,
    },
    "everything": {
        "aggregates": ("counts", "last_gap"),
        "aggregates_into": "input",
        "convolution_width": 2,
        "decay": "power",
        "decay_of": "c_and_h",
        "feedback": "attention",
        "feedback_memory": 2,
        "lstm_layers": 2,
        "num_labels": 2,
        "auxiliary_target": "next_event",
    },
}
_TINY: dict[str, object] = {"embedding_width": 3, "lstm_units": 4, "dense_units": 3, "dropout": 0.2}

ARCHITECTURES = {name: NetworkConfig.model_validate(_TINY | changes) for name, changes in _CHANGES.items()}
CAUSAL = {name: config for name, config in ARCHITECTURES.items() if config.is_causal}

# As of `training.network`: right-padded; the second history is scored 30 minutes after its last event.
IDS = np.array([[2, 3, 4, 2, 5], [3, 5, 1, 0, 0], [4, 0, 0, 0, 0]], np.int32)
MINUTES = np.array([[900.0, 840.0, 60.0, 59.5, 0.0], [95.0, 95.0, 30.0, 0, 0], [0, 0, 0, 0, 0]], np.float32)
LENGTHS = (5, 3, 1)
GARBAGE = np.array([np.nan, np.inf, -5.0, 1e9, -np.inf], np.float32)

Outputs = dict[str, NDArray[np.float32]]


def network_of(
    config: NetworkConfig, seed: int = 0, *, is_portable: bool = False, is_per_event: bool = False
) -> keras.Model:
    """A network with random weights everywhere: none of its parts is left at an initial 0 or 1."""
    network = build_network(
        config, VOCABULARY_SIZE, unknown_rate=0.02, is_portable=is_portable, is_per_event=is_per_event
    )
    generator = np.random.default_rng(seed)
    # Raw minutes reach 900: smaller weights keep the gates off their ends, where every formula would agree.
    scale = 0.05 if config.time == "elapsed" else 0.5
    network.set_weights([generator.normal(scale=scale, size=weight.shape) for weight in network.weights])
    return network


def outputs_of(network: keras.Model, event_ids: NDArray[np.int32], minutes: NDArray[np.float32]) -> Outputs:
    outputs = network({"event_ids": event_ids, "elapsed_minutes": minutes}, training=False)
    return {name: output.numpy() for name, output in outputs.items()}
