"""Certificate and key for TLS: read once, checked before a port answers."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from service.settings import Settings, SettingsError

_CERTIFICATE = "SEQRISK_TLS_CERTIFICATE_FILE"
_KEY = "SEQRISK_TLS_KEY_FILE"


@dataclass(frozen=True, slots=True)
class Tls:
    """What a server needs for TLS.

    Attributes:
        certificate: The chain in PEM, the server's own first.
        key: Its private key in PEM.
        context: Both, for HTTP: TLS 1.2 or later, with OpenSSL's own choice of ciphers.
    """

    certificate: bytes
    key: bytes
    context: ssl.SSLContext

    @classmethod
    def of(cls, settings: Settings) -> "Tls | None":
        """What the settings name; None if they name nothing.

        Raises:
            SettingsError: A file cannot be read, or they do not belong together.
        """
        if settings.tls_certificate_file is None or settings.tls_key_file is None:
            return None
        certificate = _read(settings.tls_certificate_file, _CERTIFICATE)
        key = _read(settings.tls_key_file, _KEY)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # Without a password to try, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(settings.tls_certificate_file, settings.tls_key_file, password="")
        except ssl.SSLError as error:
            raise SettingsError(
                f"Wrong settings: {_CERTIFICATE}, {_KEY}: Expected a certificate chain in PEM and its private key "
                f"without a passphrase. Received: {settings.tls_certificate_file} and {settings.tls_key_file}, "
                f"which are not ({error.reason or 'no PEM'})."
            ) from error
        return cls(certificate, key, context)


def _read(path: Path, variable: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"Wrong settings: {variable}: Expected a file that can be read. Received: {path}, {error.strerror}."
        ) from error
