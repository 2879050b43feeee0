from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

DIRECTORY = Path(__file__).parents[2] / "deploy" / "kubernetes"
MANIFESTS = [path for path in sorted(DIRECTORY.glob("*.yaml")) if path.name != "kustomization.yaml"]

Manifest = dict[str, Any]


def read(name: str) -> Manifest:
    content: Manifest = yaml.safe_load((DIRECTORY / name).read_text())
    return content


@pytest.mark.parametrize("version", ["1.34", "1.37"])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_manifest_keeps_the_schema_of_kubernetes(path: Path, version: str) -> None:
    kubernetes_validate.validate(read(path.name), version, strict=True)


def test_a_field_that_is_no_field_would_be_found() -> None:
    manifest = read("deployment.yaml")
    manifest["spec"]["replica"] = 2

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, "1.37", strict=True)


def test_the_kustomization_names_every_manifest() -> None:
    assert read("kustomization.yaml")["resources"] == [path.name for path in MANIFESTS]


def test_the_service_reaches_the_pods() -> None:
    deployment, service = read("deployment.yaml"), read("service.yaml")
    pod = deployment["spec"]["template"]

    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert service["spec"]["ports"][0]["targetPort"] in [port["name"] for port in pod["spec"]["containers"][0]["ports"]]
