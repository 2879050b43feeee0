import pytest

from service.artifact_fault import ArtifactFaultError
from service.engine import GraphError, SignatureError
from service.golden import GoldenExampleError


@pytest.mark.parametrize("fault", [GraphError, SignatureError, GoldenExampleError])
def test_what_another_attempt_would_find_again_is_the_artifacts_fault(fault: type[Exception]) -> None:
    assert issubclass(fault, ArtifactFaultError)
