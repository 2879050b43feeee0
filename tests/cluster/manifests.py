"""What deploy/ ships, as the cluster at hand can take it."""

import subprocess
from pathlib import Path

import yaml

from tests.cluster.cluster import Manifest

OVERLAYS = Path(__file__).parent / "overlays"

# Same content, older name: before 1.21 and 1.23.
_OLDER = {
    "policy/v1": "policy/v1beta1",
    "autoscaling/v2": "autoscaling/v2beta2",
}
_FIRST_WITH_BOTH = 23


def built(directory: Path, minor_version: int) -> list[Manifest]:
    """The manifests of a kustomization, in the versions that Kubernetes 1.`minor_version` knows."""
    text = subprocess.run(["kubectl", "kustomize", str(directory)], check=True, capture_output=True, text=True).stdout
    manifests = [manifest for manifest in yaml.safe_load_all(text) if manifest]
    return manifests if minor_version >= _FIRST_WITH_BOTH else [_older(manifest) for manifest in manifests]


def _older(manifest: Manifest) -> Manifest:
    if manifest["kind"] == "PodDisruptionBudget":
        # Not there before 1.27.
        manifest["spec"].pop("unhealthyPodEvictionPolicy", None)
    if manifest["kind"] == "CronJob":
        # Not there before 1.24.
        manifest["spec"].pop("timeZone", None)
        return {**manifest, "apiVersion": "batch/v1beta1"}
    return {**manifest, "apiVersion": _OLDER.get(manifest["apiVersion"], manifest["apiVersion"])}
