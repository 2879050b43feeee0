import pytest

from service.errors import InvalidTensorsError
from service.open_inference_outputs import WantedOutput, check_output, read_outputs


def test_outputs_keep_the_order_they_were_asked_for_in() -> None:
    assert read_outputs(["auxiliary_risk", "risk"], [True, False], "tiny") == (
        WantedOutput("auxiliary_risk", is_binary=True),
        WantedOutput("risk", is_binary=False),
    )


@pytest.mark.parametrize("names", [["risk", "risk"], ["hidden"]])
def test_what_cannot_be_answered_is_refused(names: list[str]) -> None:
    with pytest.raises(InvalidTensorsError):
        read_outputs(names, [False] * len(names), "tiny")


def test_what_would_change_how_an_output_is_read_is_refused() -> None:
    check_output(["binary_data"], "/outputs/0")

    with pytest.raises(InvalidTensorsError, match="classification"):
        check_output(["classification"], "/outputs/0")
