"""A draft that keeps every rule of the contract, for whoever publishes in a test."""

from models.manifest import (
    Band,
    Draft,
    Evaluation,
    GoldenExample,
    Histogram,
    Metric,
    ModelInput,
    Provenance,
    Quantiles,
    ReferenceStatistics,
)


def draft(**chosen: object) -> Draft:
    """A draft of `card-fraud`, but for the fields that are chosen."""
    fields: dict[str, object] = {
        "format_version": 1,
        "name": "card-fraud",
        "predicts": "this card will be charged back within 30 days",
        "vocabulary": ("login", "pay"),
        "max_events": 50,
        "inputs": (
            ModelInput(name="event_ids", dtype="int32", unit=None, per="event", default=None),
            ModelInput(name="elapsed_minutes", dtype="float32", unit="minutes", per="event", default=None),
        ),
        "time_unit": "minutes",
        "max_elapsed_minutes": 1e6,
        "scores_between_events": False,
        "bands": (Band(name="low", lower_risk=0.0), Band(name="high", lower_risk=0.5)),
        "evaluation": Evaluation(
            test_from=None,
            num_sequences=10,
            num_prefixes=30,
            prevalence=0.2,
            confidence=0.95,
            metrics=(Metric(name="brier", model="network", value=0.1, lower=0.05, upper=0.15),),
        ),
        "reference": ReferenceStatistics(
            event_type_shares={"login": 0.6, "pay": 0.3},
            unknown_share=0.1,
            length_quantiles=Quantiles(levels=(0.5, 0.9), values=(4.0, 9.0)),
            gap_minutes_quantiles=Quantiles(levels=(0.5,), values=(15.0,)),
            risk_histogram=Histogram(edges=(0.0, 0.5, 1.0), shares=(0.8, 0.2)),
        ),
        "golden_examples": (
            GoldenExample(event_types=("login", "pay"), elapsed_minutes=(3.0, 0.0), risk=0.25, auxiliary_risk=0.2),
        ),
        "golden_tolerance": 1e-5,
        "provenance": Provenance(
            config={"seed": 1}, data_sha256="0" * 64, code_version="0.1.0", library_versions={"numpy": "2"}, seed=1
        ),
    }
    return Draft.model_validate(fields | chosen)
