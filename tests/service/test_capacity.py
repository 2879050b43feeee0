import pytest

from service.capacity import Capacity, num_cores
from service.settings import Settings


@pytest.mark.parametrize(
    ("device", "chosen", "capacity"),
    [
        ("/CPU:0", {}, Capacity(slots=max(1, num_cores() - 1), max_batch=128, has_quick_calls=True)),
        ("/GPU:0", {}, Capacity(slots=1, max_batch=2_048, has_quick_calls=False)),
        ("/CPU:0", {"slots": 3, "max_batch": 7}, Capacity(slots=3, max_batch=7, has_quick_calls=True)),
        ("/GPU:0", {"slots": 3, "max_batch": 7}, Capacity(slots=3, max_batch=7, has_quick_calls=False)),
    ],
)
def test_suits_the_device_unless_the_operator_chose(device: str, chosen: dict[str, int], capacity: Capacity) -> None:
    assert Capacity.of(device, Settings.model_validate(chosen)) == capacity
