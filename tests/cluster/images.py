"""Images as archives, which any cluster can be handed without a registry."""

import shutil
import subprocess
from pathlib import Path

from tests.cluster.binaries import MissingError
from tests.cluster.node import PAUSE_IMAGE

SERVICE = "seqrisk/service:0.1.0"
TRAINING = "seqrisk/training:0.1.0"


def export(name: str, directory: Path) -> Path:
    """The image `name`, as `make images` tags it, in an archive under the name that manifests resolve to.

    Raises:
        MissingError: There is no such image on this machine.
    """
    if _run("images", "--quiet", f"localhost/{name}").returncode:
        raise MissingError(f"Expected the image {name}. Received: none. Run make images.")
    archive = directory / f"{name.split('/')[1].split(':', maxsplit=1)[0]}.tar"
    _run("push", f"localhost/{name}", f"docker-archive:{archive}:docker.io/{name}").check_returncode()
    return archive


def pause(directory: Path) -> Path:
    """The container that holds a pod's namespaces: catatonit, alone."""
    context = directory / "pause"
    context.mkdir()
    shutil.copy(shutil.which("catatonit") or "", context / "pause")
    (context / "Containerfile").write_text('FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause", "-P"]\n')
    _run("build", "--isolation", "chroot", "--tag", PAUSE_IMAGE, str(context)).check_returncode()
    archive = directory / "pause.tar"
    _run("push", PAUSE_IMAGE, f"docker-archive:{archive}:{PAUSE_IMAGE}").check_returncode()
    return archive


def _run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["buildah", *arguments], check=False, capture_output=True)
