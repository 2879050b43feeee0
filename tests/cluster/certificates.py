"""Who is who in a cluster of our own: one authority, a key and a certificate each, and the files kubectl reads."""

import subprocess
from pathlib import Path

import yaml

_DAYS = "2"


class Authority:
    """A certificate authority that lives as long as its directory.

    Args:
        directory: Where keys and certificates are written; must exist.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.certificate = directory / "authority.crt"
        self._key = directory / "authority.key"
        _openssl("genrsa", "-out", self._key, "2048")
        subject = ("-subj", "/CN=seqrisk-lab", "-days", _DAYS)
        _openssl("req", "-x509", "-new", "-key", self._key, *subject, "-out", self.certificate)

    def issue(self, name: str, subject: str, *alternative_names: str) -> tuple[Path, Path]:
        """A certificate and its key for a client or a server with these names (`IP:…`, `DNS:…`)."""
        certificate, key, request, extensions = (
            self._directory / f"{name}.{suffix}" for suffix in ("crt", "key", "csr", "ext")
        )
        extensions.write_text(
            "extendedKeyUsage=serverAuth,clientAuth\n"
            + (f"subjectAltName={','.join(alternative_names)}\n" if alternative_names else "")
        )
        _openssl("genrsa", "-out", key, "2048")
        _openssl("req", "-new", "-key", key, "-subj", subject, "-out", request)
        signer = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial")
        _openssl("x509", "-req", "-in", request, *signer, "-days", _DAYS, "-extfile", extensions, "-out", certificate)
        return certificate, key

    def kubeconfig(self, name: str, subject: str, server: str) -> Path:
        """A file that lets its reader be `subject` at `server`."""
        certificate, key = self.issue(name, subject)
        path = self._directory / f"{name}.yaml"
        cluster = {"server": server, "certificate-authority": str(self.certificate)}
        user = {"client-certificate": str(certificate), "client-key": str(key)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name}}],
            "current-context": "lab",
        }
        path.write_text(yaml.safe_dump(content))
        return path


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
