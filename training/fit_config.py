"""The [fit] section: how a network's weights are found, and when to stop."""

from pydantic import BaseModel, ConfigDict, Field

from training.network_config import Positive


class FitConfig(BaseModel):
    """How the network's weights are found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: Positive = Field(0.006, description="Step size of Adam.")
    batch_size: int = Field(256, ge=1, description="Prefixes a step.")
    max_epochs: int = Field(30, ge=1, description="Most passes over the fit slice.")
    patience: int = Field(6, ge=1, description="Passes without a better validation ROC AUC before the fit stops.")
    refit: bool = Field(
        False, description="Whether the network is then fitted anew, for as many passes, on fit and validation part."
    )
    auxiliary_weight: float = Field(0.2, ge=0, le=10, description="Weight of the auxiliary loss; the main one's is 1.")
    weight_decay: float = Field(
        0.0, ge=0, le=10, description="Share of every weight taken off a step, times the learning rate."
    )
    average_epochs: float = Field(
        0.0, ge=0, le=100, description="Passes over which weights are averaged, exponentially; 0 keeps the latest."
    )
    checkpoint_steps: int = Field(
        1000,
        ge=1,
        description="Least steps between two checkpoints of a run that keeps them; an epoch ends with one, too.",
    )
