"""Which versions are loaded, in TensorFlow Serving's words."""

from service.errors import Fault, NotReadyError, UnknownModelError
from service.lineup import LineUp
from service.schemas import LoadStatus, ModelVersionStatus
from service.versions import VersionStatus

# Longest part of a request that a message repeats.
MAX_SHOWN_CHARACTERS = 64

_OK = LoadStatus(error_code="OK", error_message="")


def version_statuses(lineup: LineUp, name: str) -> list[ModelVersionStatus]:
    """Every version that is loaded or was to be, ascending; what nobody asked to load is not one of them.

    Raises:
        UnknownModelError: The model is not served here.
        NotReadyError: It is not known yet what is.
    """
    if lineup.name is None:
        raise NotReadyError(f"Expected a model to be served. Received: {lineup.status().reason}")
    if name != lineup.name:
        name = name[:MAX_SHOWN_CHARACTERS]
        expected = f"Expected the model that is served here, {lineup.name!r}. Received: {name!r}."
        raise UnknownModelError(f"Could not find any versions of model {name}", (Fault("", expected),))
    statuses = (_status(told) for told in lineup.versions())
    return [status for status in statuses if status is not None]


def _status(told: VersionStatus) -> ModelVersionStatus | None:
    version = str(told.version)
    match told.state:
        case "champion" | "challenger":
            return ModelVersionStatus(version=version, state="AVAILABLE", status=_OK)
        case "loading":
            return ModelVersionStatus(version=version, state="LOADING", status=_OK)
        case "refused":
            failure = LoadStatus(error_code="FAILED_PRECONDITION", error_message=told.reason)
            return ModelVersionStatus(version=version, state="END", status=failure)
        case "available":
            return None
