"""The [network] section: every part of the network is an option, and one table says which options need which others."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, lt=1)]

Time = Literal["none", "elapsed", "log_elapsed", "log_gap", "both"]
Aggregate = Literal["counts", "length", "since_start", "last_gap", "largest_gap", "mean_gap", "since_last"]
Decay = Literal["none", "hyperbolic", "exponential", "power", "input_dependent", "t_lstm"]
DecayOf = Literal["c", "c_and_h"]
Feedback = Literal["none", "projection", "attention"]
AuxiliaryTarget = Literal["label", "next_event", "minutes_to_next_event"]


class NetworkConfig(BaseModel):
    """The network's parts in the order of the data; equations and when to use what are in training/README.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: int = Field(1, ge=1, le=64, description="Networks fitted side by side, whose logits are averaged.")
    time: Time = Field("log_gap", description="What of time is concatenated to an event's embedding.")
    embedding_width: int = Field(16, ge=1, le=1024, description="Numbers that describe an event type.")
    element_dropout: Rate = Field(0.0, description="Share of single numbers of the embedded events dropped.")
    event_dropout: Rate = Field(0.0, description="Share of whole embedded events dropped.")
    feature_dropout: Rate = Field(0.0, description="Share of embedding columns dropped, each from all of a sequence.")
    aggregates: tuple[Aggregate, ...] = Field((), description="What is counted and measured from the first event on.")
    aggregate_pieces: int = Field(
        0, ge=0, le=256, description="Linear pieces that each of them but counts is told in, too; 0 is none."
    )
    aggregate_width: int = Field(
        0, ge=0, le=4096, description="Numbers that a linear layer makes of all of them; 0 leaves them as they are."
    )
    aggregates_into: Literal["head", "input"] = Field("head", description="What the aggregates are concatenated to.")
    convolution_width: int = Field(0, ge=0, le=64, description="Events a causal convolution sees; 0 is none.")
    convolution_filters: int = Field(16, ge=1, le=4096, description="Numbers it makes of them.")
    decay: Decay = Field("none", description="How the gap between two events drives the forget gate.")
    decay_of: DecayOf = Field("c", description="States that decay.")
    decay_minutes: tuple[Positive, Positive] = Field(
        (1.0, 10_000.0), description="Time scales the units' decay starts from, shortest and longest."
    )
    feedback: Feedback = Field("none", description="What of the state of one event is input at the next.")
    feedback_width: int = Field(8, ge=1, le=4096, description="Numbers fed back.")
    feedback_memory: int = Field(4, ge=2, le=256, description="Latest states that attention chooses from.")
    lstm_units: int = Field(32, ge=1, le=4096, description="Width of the recurrent state.")
    lstm_layers: int = Field(1, ge=1, le=8, description="Recurrent layers, each reading the one before.")
    input_dropout: Rate = Field(0.0, description="Share of the recurrent layer's inputs dropped, but never of time.")
    recurrent_dropout: Rate = Field(0.0, description="Share of the state dropped on its way to the gates.")
    between_dropout: Rate = Field(0.0, description="Share dropped between two recurrent layers.")
    dropout: Rate = Field(0.3, description="Share of the last state dropped before the main output.")
    dense_units: int = Field(16, ge=1, le=4096, description="Width of the layer before the main output.")
    risk_head: Literal["sigmoid", "softmax"] = Field("sigmoid", description="One logit, or two that compete.")
    num_labels: int = Field(1, ge=1, le=1000, description="Labels with a logit each; the first is the main output.")
    positive_weights: tuple[Positive, ...] = Field(
        (1.0,), min_length=1, description="Weight of label 1 in the loss: one for all labels, or one a label."
    )
    auxiliary_target: AuxiliaryTarget = Field("label", description="What the state is trained to tell beside the risk.")
    auxiliary_positive_weight: Positive = Field(1.0, description="Weight of label 1 in the auxiliary risk's loss.")

    @property
    def is_causal(self) -> bool:
        """Whether an event's input stays as it is when later ones arrive; elapsed minutes grow with each of them."""
        return self.time in {"none", "log_gap"} and "since_last" not in self.aggregates

    @property
    def label_weights(self) -> tuple[float, ...]:
        """Weight of label 1 in the loss, one a label."""
        return self.positive_weights * self.num_labels if len(self.positive_weights) == 1 else self.positive_weights

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for option, way_out, is_met in _NEEDS:
            value = getattr(self, option)
            if value != type(self).model_fields[option].default and not is_met(self):
                raise ValueError(f"{option} = {_toml(value)} needs {way_out}")
        for expected, is_met in _RULES:
            if not is_met(self):
                raise ValueError(f"expected {expected}")
        return self


_NEEDS: tuple[tuple[str, str, Callable[[NetworkConfig], bool]], ...] = (
    ("aggregates_into", "aggregates", lambda network: bool(network.aggregates)),
    (
        "aggregate_pieces",
        "aggregates other than counts, which are few",
        lambda network: bool(set(network.aggregates) - {"counts"}),
    ),
    ("aggregate_width", "aggregates", lambda network: bool(network.aggregates)),
    ("convolution_filters", "a convolution_width of at least 1", lambda network: network.convolution_width > 0),
    (
        "decay_of",
        "a decay other than none and t_lstm, which splits c alone",
        lambda network: network.decay not in {"none", "t_lstm"},
    ),
    (
        "decay_minutes",
        "a decay other than none and t_lstm, which learn no time scale",
        lambda network: network.decay not in {"none", "t_lstm"},
    ),
    ("feedback_width", 'feedback = "projection" or "attention"', lambda network: network.feedback != "none"),
    ("feedback_memory", 'feedback = "attention"', lambda network: network.feedback == "attention"),
    (
        "input_dropout",
        "convolution_width = 0, as a convolution mixes time into every number; drop before it with feature_dropout",
        lambda network: network.convolution_width == 0,
    ),
    ("between_dropout", "lstm_layers of at least 2", lambda network: network.lstm_layers > 1),
    ("num_labels", 'risk_head = "sigmoid", as labels do not exclude each other', lambda n: n.risk_head == "sigmoid"),
)
"""An option that was changed, what it needs to have an effect, and whether that is there."""

_RULES: tuple[tuple[str, Callable[[NetworkConfig], bool]], ...] = (
    (
        "decay_minutes to ascend, shortest time scale first",
        lambda network: network.decay_minutes[0] < network.decay_minutes[1],
    ),
    (
        'aggregates_into = "head" for since_last, which no event before the last one knows',
        lambda network: "since_last" not in network.aggregates or network.aggregates_into == "head",
    ),
    ("each of aggregates once", lambda network: len(set(network.aggregates)) == len(network.aggregates)),
    (
        "positive_weights to be one for all labels, or num_labels",
        lambda network: len(network.positive_weights) in {1, network.num_labels},
    ),
)
"""What holds whatever the other options are."""


def has_effect(option: str, options: Mapping[str, Any]) -> bool:
    """Whether `option` changes anything beside `options`; those not in them are at their defaults."""
    network = NetworkConfig.model_construct(**options)
    return all(is_met(network) for needing, _, is_met in _NEEDS if needing == option)


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(list(value) if isinstance(value, tuple) else value)
