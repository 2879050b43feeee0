"""What the Open Inference Protocol tells about the service, the served model and its versions.

REST sends it as JSON, gRPC as the messages of the same fields.

Asked        the model and version a client asks for
Catalogue    what is told about them
"""

from typing import NamedTuple

from models.further_inputs import FurtherInput
from service.errors import NotReadyError, UnknownModelError
from service.lineup import LineUp
from service.live_model import LiveModel
from service.open_inference_outputs import MAX_NAME_CHARACTERS, OUTPUTS
from service.open_inference_schemas import (
    ConfigInput,
    ConfigOutput,
    DynamicBatching,
    IndexEntry,
    InferStatistics,
    ModelConfig,
    ModelMetadata,
    ModelStatistics,
    Reshape,
    ServerMetadata,
    StatisticDuration,
    TensorMetadata,
    VersionStatistics,
)
from service.settings import Settings
from service.statistics import Duration, Statistics
from service.versions import VersionStatus

_PLATFORM = "tensorflow_savedmodel"
_EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "parameters", "statistics"]
# Of the input or output, and of it alone: in a request, `event_types` may stand for `event_ids`.
_INPUTS = {"event_ids": "INT32", "elapsed_minutes": "FP32"}
_DATATYPES = {"int32": "INT32", "float32": "FP32"}
_NONE = StatisticDuration(count=0, ns=0)


class Asked(NamedTuple):
    """The model a client asks for; the version is None for the one that answers for all."""

    name: str
    version: str | None = None


class Catalogue:
    """What is told about the service, the served model and its versions.

    Args:
        settings: What a request may carry.
        lineup: The versions.
    """

    def __init__(self, settings: Settings, lineup: LineUp) -> None:
        self._settings = settings
        self._lineup = lineup

    def server(self) -> ServerMetadata:
        """Who answers."""
        return ServerMetadata(name="seqrisk", version="1", extensions=_EXTENSIONS)

    def find(self, asked: Asked) -> LiveModel:
        """The version asked for, which answers.

        Raises:
            UnknownModelError: There is no such model, or no such version of it that answers.
            NotReadyError: Nothing answers yet, or this version does not.
        """
        (name, version), served = asked, self._lineup.name
        if served is None:
            # Says why not.
            return self._lineup.champion()
        if name != served:
            message = f"Request for unknown model: '{name[:MAX_NAME_CHARACTERS]}' is not found. Expected {served!r}."
            raise UnknownModelError(message)
        if not version:
            return self._lineup.champion()
        for model in self._lineup.loaded():
            if version == str(model.manifest.version):
                return model
        states = {str(told.version): told for told in self._lineup.versions()}
        told = states.get(version)
        if told is not None and told.state == "loading":
            raise NotReadyError(f"Expected version {version} to answer. Received: it is loading. {told.reason}")
        answering = ", ".join(str(model.manifest.version) for model in self._lineup.loaded()) or "none yet"
        raise UnknownModelError(
            f"Request for unknown model: {name!r} version '{version[:MAX_NAME_CHARACTERS]}' is not found. "
            f"Expected one that answers: {answering}."
        )

    def model(self, asked: Asked) -> ModelMetadata:
        """Which tensors a version takes and gives; errors are those of `find`."""
        manifest = self.find(asked).manifest
        return ModelMetadata(
            name=manifest.name,
            versions=[str(model.manifest.version) for model in self._lineup.loaded()],
            platform=_PLATFORM,
            inputs=[
                *(TensorMetadata(name=known, datatype=_INPUTS[known], shape=[-1, -1]) for known in _INPUTS),
                *(
                    TensorMetadata(name=one.name, datatype=_DATATYPES[one.dtype], shape=[-1, *_dims(one)])
                    for one in manifest.further_inputs
                ),
            ],
            outputs=[TensorMetadata(name=output, datatype="FP32", shape=[-1]) for output in OUTPUTS],
        )

    def config(self, asked: Asked) -> ModelConfig:
        """The same in Triton's words; errors are those of `find`."""
        manifest = self.find(asked).manifest
        types = {"event_ids": "TYPE_INT32", "event_types": "TYPE_STRING", "elapsed_minutes": "TYPE_FP32"}
        return ModelConfig(
            name=manifest.name,
            platform=_PLATFORM,
            backend="tensorflow",
            max_batch_size=self._settings.max_sequences,
            input=[
                ConfigInput(name=known, data_type=data_type, dims=[-1], optional=known != "elapsed_minutes")
                for known, data_type in types.items()
            ]
            + [
                ConfigInput(
                    name=one.name,
                    data_type=f"TYPE_{_DATATYPES[one.dtype]}",
                    dims=_dims(one) or [1],
                    optional=one.default is not None,
                )
                for one in manifest.further_inputs
            ],
            output=[
                ConfigOutput(name=output, data_type="TYPE_FP32", dims=[1], reshape=Reshape(shape=[]))
                for output in OUTPUTS
            ],
            dynamic_batching=DynamicBatching(max_queue_delay_microseconds=0),
        )

    def index(self, *, only_ready: bool) -> list[IndexEntry]:
        """Every version in the repository, or those that answer."""
        name = self._lineup.name
        if name is None:
            return []
        entries = [_entry(name, told) for told in self._lineup.versions()]
        return [entry for entry in entries if entry.state == "READY" or not only_ready]

    def statistics(self, asked: Asked | None) -> ModelStatistics:
        """What a version has done, or every one that answers; errors are those of `find`."""
        model = None if asked is None else self.find(asked)
        models = [model] if model is not None and asked is not None and asked.version else self._lineup.loaded()
        return ModelStatistics(model_stats=[_told(model) for model in models])


def _dims(one: FurtherInput) -> list[int]:
    """Axes behind that of the batch."""
    return [-1] if one.per == "event" else []


def _entry(name: str, told: VersionStatus) -> IndexEntry:
    match told.state:
        case "champion" | "challenger":
            return IndexEntry(name=name, version=str(told.version), state="READY", reason=told.reason)
        case "loading":
            return IndexEntry(name=name, version=str(told.version), state="LOADING", reason=told.reason)
    return IndexEntry(name=name, version=str(told.version), state="UNAVAILABLE", reason=told.reason)


def _told(model: LiveModel) -> VersionStatistics:
    statistics: Statistics = model.statistics
    return VersionStatistics(
        name=model.manifest.name,
        version=str(model.manifest.version),
        last_inference=round(statistics.last_answer_at * 1e3),
        inference_count=statistics.num_sequences,
        execution_count=statistics.infer.count,
        inference_stats=InferStatistics(
            success=_duration(statistics.success),
            fail=_duration(statistics.fail),
            queue=_duration(statistics.queue),
            compute_input=_NONE,
            compute_infer=_duration(statistics.infer),
            compute_output=_NONE,
            cache_hit=_NONE,
            cache_miss=_NONE,
        ),
        batch_stats=[],
    )


def _duration(duration: Duration) -> StatisticDuration:
    return StatisticDuration(count=duration.count, ns=round(duration.seconds * 1e9))
