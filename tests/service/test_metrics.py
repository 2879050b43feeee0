import re
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service import metrics as metrics_module
from service.metrics import Metrics

OPERATORS_PAGE = Path(metrics_module.__file__).parent / "README.md"


def test_two_services_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()

    first.sequences.inc()

    assert second.registry.get_sample_value("seqrisk_sequences_total") == 0


def test_names_follow_prometheus_rules() -> None:
    registry = CollectorRegistry()
    Metrics(registry)

    families = list(text_string_to_metric_families(generate_latest(registry).decode()))

    ours = [family for family in families if not family.name.startswith(("python_", "process_"))]
    assert ours
    assert all(re.fullmatch(r"seqrisk_[a-z_]+", family.name) and family.documentation.endswith(".") for family in ours)


def test_the_operators_page_lists_every_metric_with_its_labels() -> None:
    rows = re.findall(r"^\| `(seqrisk_\w+)` \|([^|]*)\|", OPERATORS_PAGE.read_text(), flags=re.MULTILINE)
    declared = {}
    for metric in vars(Metrics()).values():
        if hasattr(metric, "describe") and not isinstance(metric, CollectorRegistry):
            suffix = "_total" if metric._type == "counter" else ""
            declared[metric._name + suffix] = set(metric._labelnames)

    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == declared
