"""The outputs a client of the Open Inference Protocol asks for.

WantedOutput     one of them, and how
read_outputs     names -> outputs
check_output     what else may be asked of one
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from service.open_inference_tensor import refused

OUTPUTS = ("risk", "auxiliary_risk")
# Of a name that means nothing here, as much as a message repeats.
MAX_NAME_CHARACTERS = 64

# An answer without them would be read as if they were in it: as classes, or from the client's own memory.
_UNKNOWN_TO_OUTPUTS = ("classification", "shared_memory_region")


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """An output the client asks for, and whether as bytes behind the JSON."""

    name: str
    is_binary: bool


def read_outputs(names: Sequence[str], are_binary: Sequence[bool], model: str) -> tuple[WantedOutput, ...]:
    """The outputs asked for, in that order.

    Raises:
        InvalidTensorsError: There is no such output, or it is asked for twice.
    """
    for position, name in enumerate(names):
        if name not in OUTPUTS:
            raise refused(
                f"/outputs/{position}/name",
                f"unexpected inference output '{name[:MAX_NAME_CHARACTERS]}' for model {model!r}. Expected `risk` or "
                "`auxiliary_risk`.",
            )
    if len(set(names)) < len(names):
        raise refused("/outputs", "Expected each output once. Received: one of them twice.")
    return tuple(WantedOutput(name, is_binary) for name, is_binary in zip(names, are_binary, strict=True))


def check_output(parameters: Container[str], place: str) -> None:
    """Check that nothing is asked of an output that would change how the client reads it.

    Raises:
        InvalidTensorsError: Something is.
    """
    for name in _UNKNOWN_TO_OUTPUTS:
        if name in parameters:
            raise refused(
                f"{place}/parameters/{name}", f"Expected an output as its tensor. Received: the parameter `{name}`."
            )
