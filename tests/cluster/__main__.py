"""The shipped manifests on a real cluster: what they promise, under load.

From the root of the project, as root: python -m tests.cluster [PROOF …]

A cluster is started here, from Kubernetes' binaries in SEQRISK_KUBE_BIN or .cache/kube. With SEQRISK_KUBECONFIG another
one is used, and disturbed: one of kind, never one that others need. It must have the images already, and autoscaling is
not proven there.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.results import Row, show
from tests.benchmarks.servers import ROOT
from tests.cluster import (
    lab,
    prove_autoscaling,
    prove_disruptions,
    prove_keys,
    prove_limits,
    prove_serving,
    prove_training,
)
from tests.cluster.binaries import MissingError, kubernetes
from tests.cluster.cluster import Cluster
from tests.cluster.images import SERVICE, TRAINING, export, pause

EXIT_MISSING = 2
# Its Prometheus has to reach the pods, and the API server has to reach it.
ONLY_HERE = {"autoscaling"}
RESULTS = Path(__file__).parent / "results"
PROOFS = {
    "serving": prove_serving.prove,
    "limits": prove_limits.prove,
    "disruptions": prove_disruptions.prove,
    "keys": prove_keys.prove,
    "training": prove_training.prove,
    "autoscaling": prove_autoscaling.prove,
}


def main() -> None:
    """Take the cluster that is given, or start one, and prove on it what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proofs", nargs="*", choices=[*PROOFS, []], metavar="PROOF", help=f"Of {', '.join(PROOFS)}.")
    given = os.environ.get("SEQRISK_KUBECONFIG")
    asked_for = parser.parse_args([one for one in sys.argv[1:] if one != lab.IS_INSIDE]).proofs
    names = asked_for or [name for name in PROOFS if not given or name not in ONLY_HERE]
    try:
        rows = _prove(Path(given), names) if given else _prove_in_lab(names)
    except MissingError as error:
        print(f"SKIPPED, and nothing is proven. {error}", file=sys.stderr)
        sys.exit(EXIT_MISSING)
    sys.exit(0 if all(row.is_reached for row in rows) else 1)


def _prove_in_lab(names: list[str]) -> list[Row]:
    binaries = kubernetes()
    directory = ROOT / ".cache" / "cluster"
    lab.enter_namespaces(directory)
    wanted = [SERVICE, *([TRAINING] if {"limits", "training"} & {*names} else [])]
    archives = [pause(directory), *(export(name, directory) for name in wanted)]
    with lab.running(binaries, directory, archives) as kubeconfig:
        return _prove(kubeconfig, names)


def _prove(kubeconfig: Path, names: list[str]) -> list[Row]:
    cluster = Cluster(kubeconfig)
    rows = list[Row]()
    for name in names:
        found = PROOFS[name](cluster)
        show(name, found)
        _keep(name, cluster, found)
        rows += found
    return rows


def _keep(name: str, cluster: Cluster, rows: list[Row]) -> None:
    RESULTS.mkdir(exist_ok=True)
    content = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "kubernetes": f"1.{cluster.minor_version}",
        "rows": [asdict(row) for row in rows],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
