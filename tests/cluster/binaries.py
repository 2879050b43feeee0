"""What a cluster on this machine is started from: Kubernetes' own binaries, and tools of the system."""

import os
import shutil
from pathlib import Path

from tests.benchmarks.servers import ROOT

KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet")
TOOLS = {
    "buildah": "buildah",
    "catatonit": "catatonit",
    "containerd": "containerd",
    "conntrack": "conntrack",
    "etcd": "etcd-server",
    "ip": "iproute2",
    "iptables": "iptables",
    "kubectl": "kubectl",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "prometheus": "prometheus",
    "runc": "runc",
}
PLUGINS = Path("/usr/lib/cni")


class MissingError(RuntimeError):
    """Something that the cluster needs is not on this machine; the message says how to get it."""


def kubernetes() -> Path:
    """The directory with Kubernetes' binaries: SEQRISK_KUBE_BIN, or .cache/kube.

    Raises:
        MissingError: A binary or a tool is not there, or this is not root.
    """
    if os.geteuid():
        raise MissingError("Expected root, which namespaces and control groups need. Received: another user.")
    directory = Path(os.environ.get("SEQRISK_KUBE_BIN", ROOT / ".cache" / "kube")).resolve()
    missing = [name for name in KUBERNETES if not os.access(directory / name, os.X_OK)]
    if missing:
        raise MissingError(
            f"Expected {', '.join(KUBERNETES)} in {directory}. Missing: {', '.join(missing)}. Build them from "
            "Kubernetes' source (make WHAT='cmd/kubelet cmd/kube-proxy …'), put them there or set SEQRISK_KUBE_BIN; "
            "or set SEQRISK_KUBECONFIG to a cluster that may be disturbed, such as one of kind."
        )
    packages = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if not (PLUGINS / "bridge").exists():
        packages.append("containernetworking-plugins")
    if packages:
        raise MissingError(
            f"Expected more tools. Way out: apt-get install --no-install-recommends {' '.join(packages)}"
        )
    return directory
