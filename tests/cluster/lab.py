"""A real cluster on this machine, in namespaces of its own: etcd, API server, controllers, scheduler and two nodes."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.cluster.binaries import MissingError
from tests.cluster.certificates import Authority
from tests.cluster.node import GATEWAY, SERVER, Addresses, Node, remove_control_groups
from tests.cluster.processes import Processes

NODES = {
    "node-a": Addresses("10.250.0.11", "10.244.1.0/24"),
    "node-b": Addresses("10.250.0.12", "10.244.2.0/24"),
}

IMAGE_USER = 10001

_ETCD = "http://127.0.0.1:2379"
_SERVICES = "10.96.0.0/16"
_START_SECONDS = 120
# What a kubelet sets for the whole machine, which is to have its own values again.
_KERNEL_SETTINGS = ("vm.overcommit_memory", "kernel.panic", "kernel.panic_on_oops")
IS_INSIDE = "--inside"


def enter_namespaces(directory: Path) -> None:
    """Run this program again where it has networks, mounts and processes of its own; return only there.

    Args:
        directory: For everything the cluster writes; empty then, and removed afterwards. One cluster at a time has it.

    Raises:
        MissingError: Another cluster has it.
    """
    if IS_INSIDE in sys.argv:
        return
    directory.mkdir(parents=True, exist_ok=True)
    with directory.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MissingError(f"Expected no other cluster in {directory}. Received: one. Wait for its end.") from error
        _empty(directory)
        before = {name: Path("/proc/sys", *name.split(".")).read_text() for name in _KERNEL_SETTINGS}
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        # The first process of a namespace has to bury all others; Python would not.
        again = ["catatonit", "--", sys.executable, "-m", "tests.cluster", *sys.argv[1:], IS_INSIDE]
        # Whoever ends this program ends the cluster as well, and the machine has its settings again.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        try:
            ended = subprocess.run([*unshare, *again], check=False)
        finally:
            for name, value in before.items():
                Path("/proc/sys", *name.split(".")).write_text(value)
            remove_control_groups()
            _empty(directory)
    sys.exit(ended.returncode)


def _empty(directory: Path) -> None:
    # Images are some hundred thousand files; Python takes minutes for them.
    subprocess.run(["rm", "-rf", directory], check=True)
    directory.mkdir()


@contextmanager
def running(binaries: Path, directory: Path, images: Sequence[Path]) -> Iterator[Path]:
    """Start the cluster, hand its nodes the images, and yield the administrator's kubeconfig; end all of it afterwards.

    Args:
        binaries: Kubernetes' own.
        directory: On a disk; must outlive the cluster.
        images: Archives.
    """
    logs, keys = directory / "logs", directory / "keys"
    for made in (logs, keys):
        made.mkdir()
    _make_bridge()
    authority = Authority(keys)
    administrator = authority.kubeconfig("administrator", "/O=system:masters/CN=administrator", SERVER)
    with ExitStack() as stack:
        processes = stack.enter_context(Processes(logs))
        _start_control_plane(binaries, directory, authority, administrator, processes)
        nodes = [
            Node(name, addresses, directory / name, binaries=binaries, authority=authority, processes=processes)
            for name, addresses in NODES.items()
        ]
        _know_each_other(nodes)
        with ThreadPoolExecutor() as both:
            list(both.map(lambda node: node.start(images), nodes))
        for node in nodes:
            stack.callback(node.end_containers)
        for node in nodes:
            ready = ["kubectl", f"--kubeconfig={administrator}", "wait", f"node/{node.name}", "--for=condition=Ready"]
            processes.wait_for(f"{node.name}-kubelet", [*ready, "--timeout=2s"], _START_SECONDS)
        _offer_storage(administrator, directory / "repository")
        yield administrator
        pods = ["kubectl", f"--kubeconfig={administrator}", "delete", "namespace", "seqrisk", "--wait=false"]
        subprocess.run(pods, check=False, capture_output=True)


def _offer_storage(administrator: Path, directory: Path) -> None:
    """A volume that both nodes can mount, as a file server would offer one; the images' user owns it."""
    directory.mkdir()
    os.chown(directory, IMAGE_USER, IMAGE_USER)
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "shared"},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteMany"],
            "hostPath": {"path": str(directory)},
        },
    }
    apply = ["kubectl", f"--kubeconfig={administrator}", "apply", "--filename=-"]
    subprocess.run(apply, input=json.dumps(volume), text=True, check=True, capture_output=True)


def _make_bridge() -> None:
    for command in (
        "ip link set lo up",
        "ip link add lab0 type bridge",
        f"ip addr add {GATEWAY}/24 dev lab0",
        "ip link set lab0 up",
        "sysctl -qw net.ipv4.ip_forward=1",
    ):
        subprocess.run(command.split(), check=True)


def _know_each_other(nodes: Sequence[Node]) -> None:
    for node in nodes:
        for other in nodes:
            if other is not node:
                node.route_to(other)


def _start_control_plane(
    binaries: Path, directory: Path, authority: Authority, administrator: Path, processes: Processes
) -> None:
    names = ("IP:127.0.0.1", f"IP:{GATEWAY}", "IP:10.96.0.1", "DNS:kubernetes", "DNS:kubernetes.default.svc")
    certificate, key = authority.issue("server", "/CN=kube-apiserver", *names)
    _, accounts_key = authority.issue("accounts", "/CN=accounts")
    client, client_key = authority.issue("server-client", "/O=system:masters/CN=kube-apiserver")
    processes.start(
        "etcd",
        [
            *("etcd", f"--data-dir={directory / 'etcd'}", "--unsafe-no-fsync", "--log-level=error"),
            *(f"--listen-client-urls={_ETCD}", f"--advertise-client-urls={_ETCD}"),
        ],
    )
    processes.start(
        "server",
        [
            *(binaries / "kube-apiserver", f"--etcd-servers={_ETCD}", f"--advertise-address={GATEWAY}"),
            *(f"--client-ca-file={authority.certificate}", f"--tls-cert-file={certificate}"),
            *(f"--tls-private-key-file={key}", f"--service-cluster-ip-range={_SERVICES}"),
            *(f"--service-account-key-file={accounts_key}", f"--service-account-signing-key-file={accounts_key}"),
            "--service-account-issuer=https://kubernetes.default.svc",
            *(f"--kubelet-client-certificate={client}", f"--kubelet-client-key={client_key}"),
            *("--kubelet-preferred-address-types=InternalIP", "--authorization-mode=Node,RBAC"),
            # Other servers, such as a Prometheus adapter, answer for groups of the API.
            *(f"--requestheader-client-ca-file={authority.certificate}", "--requestheader-allowed-names="),
            *("--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group"),
            *(f"--proxy-client-cert-file={client}", f"--proxy-client-key-file={client_key}"),
            "--enable-aggregator-routing=true",
            # Pod Security's predecessor, the one that this version has.
            "--enable-admission-plugins=NodeRestriction,PodSecurityPolicy",
        ],
    )
    asks = ["kubectl", f"--kubeconfig={administrator}", "get", "--raw", "/readyz"]
    processes.wait_for("server", asks, _START_SECONDS)
    more = [
        *(f"--service-account-private-key-file={accounts_key}", f"--root-ca-file={authority.certificate}"),
        "--use-service-account-credentials=true",
    ]
    for name, arguments in (("controller-manager", more), ("scheduler", [])):
        identity = authority.kubeconfig(name, f"/CN=system:kube-{name}", SERVER)
        command = [f"{binaries / f'kube-{name}'}", f"--kubeconfig={identity}", "--leader-elect=false", "--port=0"]
        processes.start(name, [*command, *arguments])
