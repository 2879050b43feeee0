"""One node of a cluster on this machine: containerd, kubelet and kube-proxy in namespaces of their own."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster.binaries import PLUGINS
from tests.cluster.certificates import Authority
from tests.cluster.processes import Processes

GATEWAY = "10.250.0.1"
SERVER = f"https://{GATEWAY}:6443"
PAUSE_IMAGE = "localhost/seqrisk-pause:1"
CONTROL_GROUPS = Path("/sys/fs/cgroup")
CONTROL_GROUP = "seqrisk-lab"

_SOCKET = "/run/containerd/containerd.sock"
_START_SECONDS = 120
# One lab competes with every other process of the machine as one group; eight times one process's weight.
_SHARES = "8192"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a node is, and its pods.

    Attributes:
        node: The node's address there.
        pods: The network of its pods.
    """

    node: str
    pods: str


class Node:
    """A node that is being started.

    Args:
        name: Its name in the cluster.
        addresses: Where it is.
        directory: For images, volumes and configuration; on a disk.
        binaries: With kubelet and kube-proxy.
        authority: Makes it trusted.
        processes: Holds what is started.
    """

    def __init__(
        self,
        name: str,
        addresses: Addresses,
        directory: Path,
        *,
        binaries: Path,
        authority: Authority,
        processes: Processes,
    ) -> None:
        self.name, self.addresses = name, addresses
        self._directory, self._binaries = directory, binaries
        self._authority, self._processes = authority, processes
        directory.mkdir()
        holder = processes.start(f"{name}-namespaces", ["unshare", "--net", "--mount", "sleep", "infinity"])
        self._enter = ["nsenter", f"--target={holder}", "--net", "--mount", "--"]
        processes.wait_for(f"{name}-namespaces", ["test", "-e", f"/proc/{holder}/ns/net"], _START_SECONDS)
        self._connect(holder)
        for private in ("/run", "/var/lib", "/var/log"):
            self._run("mount", "-t", "tmpfs", "tmpfs", private)
        _make_control_group(name)

    def start(self, images: Sequence[Path]) -> None:
        """Start the container runtime, hand it the images, and join the cluster."""
        (self._directory / "containerd.toml").write_text(self._containerd_configuration())
        self._start("containerd", "containerd", "--config", self._directory / "containerd.toml")
        ctr = ["ctr", "--address", _SOCKET, "--namespace", "k8s.io"]
        self._processes.wait_for(f"{self.name}-containerd", [*self._enter, *ctr, "version"], _START_SECONDS)
        for image in images:
            self._run(*ctr, "images", "import", str(image))
        kubelet, proxy = self._directory / "kubelet.yaml", self._directory / "proxy.yaml"
        kubelet.write_text(yaml.safe_dump(self._kubelet_configuration()))
        proxy.write_text(yaml.safe_dump(self._proxy_configuration()))
        identity = self._authority.kubeconfig(self.name, f"/O=system:nodes/CN=system:node:{self.name}", SERVER)
        self._start(
            "kubelet",
            *(self._binaries / "kubelet", f"--config={kubelet}", f"--kubeconfig={identity}"),
            *("--container-runtime=remote", f"--container-runtime-endpoint=unix://{_SOCKET}"),
            *(f"--root-dir={self._directory / 'kubelet'}", f"--hostname-override={self.name}"),
            f"--node-ip={self.addresses.node}",
        )
        self._start("proxy", self._binaries / "kube-proxy", f"--config={proxy}")

    def route_to(self, other: "Node") -> None:
        """Let the pods here reach the pods there."""
        self._run("ip", "route", "add", other.addresses.pods, "via", other.addresses.node)

    def end_containers(self) -> None:
        """Kill what runs in containers, so that nothing holds a mount when the runtime ends."""
        ctr = ["ctr", "--address", _SOCKET, "--namespace", "k8s.io"]
        listed = subprocess.run([*self._enter, *ctr, "tasks", "ls", "-q"], check=False, capture_output=True, text=True)
        for task in listed.stdout.split():
            kill = [*self._enter, *ctr, "tasks", "kill", "--signal", "KILL", task]
            subprocess.run(kill, check=False, capture_output=True)

    def _connect(self, holder: int) -> None:
        """A wire from the machine's bridge into the node, and the ways from there."""
        outside = f"to-{self.name}"
        _host("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", str(holder))
        _host("ip", "link", "set", outside, "master", "lab0", "up")
        _host("ip", "route", "add", self.addresses.pods, "via", self.addresses.node)
        self._run("ip", "link", "set", "lo", "up")
        self._run("ip", "addr", "add", f"{self.addresses.node}/24", "dev", "eth0")
        self._run("ip", "link", "set", "eth0", "up")
        self._run("ip", "route", "add", "default", "via", GATEWAY)
        self._run("sysctl", "-qw", "net.ipv4.ip_forward=1")

    def _start(self, name: str, *command: str | Path) -> None:
        self._processes.start(f"{self.name}-{name}", [*self._enter, *command])

    def _run(self, *command: str) -> None:
        _host(*self._enter, *command)

    def _containerd_configuration(self) -> str:
        plugins = {
            "cniVersion": "0.3.1",
            "name": "lab",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "pods0",
                    "isGateway": True,
                    "hairpinMode": True,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": "/run/cni",
                        "ranges": [[{"subnet": self.addresses.pods}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                }
            ],
        }
        network = self._directory / "network"
        network.mkdir()
        (network / "10-lab.conflist").write_text(json.dumps(plugins))
        return f"""\
version = 2
root = "{self._directory / "containerd"}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
                    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "{_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
# Lowering it takes a capability that a container of one's own rarely has.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{PLUGINS}"
conf_dir = "{network}"
"""

    def _kubelet_configuration(self) -> dict[str, object]:
        certificate, key = self._authority.issue(f"{self.name}-server", f"/CN={self.name}", f"IP:{self.addresses.node}")
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.addresses.node,
            "authentication": {
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(self._authority.certificate)},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{CONTROL_GROUP}/{self.name}",
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
        }

    def _proxy_configuration(self) -> dict[str, object]:
        identity = self._authority.kubeconfig(f"{self.name}-proxy", "/CN=system:kube-proxy", SERVER)
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(identity)},
            "mode": "iptables",
            "hostnameOverride": self.name,
            "clusterCIDR": "10.244.0.0/16",
            "oomScoreAdj": 0,
            # The defaults are the machine's own settings, not a namespace's.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }


def _make_control_group(name: str) -> None:
    for controller in CONTROL_GROUPS.iterdir():
        if controller.is_symlink() or controller.name == "unified":
            continue
        for group in (controller / CONTROL_GROUP, controller / CONTROL_GROUP / name):
            group.mkdir(exist_ok=True)
            for inherited in ("cpuset.cpus", "cpuset.mems"):
                if (group / inherited).exists():
                    (group / inherited).write_text((group.parent / inherited).read_text())
        if (controller / CONTROL_GROUP / "cpu.shares").exists():
            (controller / CONTROL_GROUP / "cpu.shares").write_text(_SHARES)


def remove_control_groups() -> None:
    """Remove what the nodes made, deepest first; nothing may be running in it."""
    for controller in CONTROL_GROUPS.iterdir():
        for directory, _, _ in os.walk(controller / CONTROL_GROUP, topdown=False):
            Path(directory).rmdir()


def _host(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
