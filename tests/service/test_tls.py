from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from service.settings import Settings, SettingsError
from service.tls import Tls
from tests.service.certificates import write_certificate


def _settings(certificate: Path, key: Path) -> Settings:
    return Settings(tls_certificate_file=certificate, tls_key_file=key)


def test_without_files_there_is_no_tls() -> None:
    assert Tls.of(Settings()) is None


def test_the_files_are_read_and_old_protocols_left_out(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)

    tls = Tls.of(_settings(certificate, key))

    assert tls is not None
    assert (tls.certificate, tls.key) == (certificate.read_bytes(), key.read_bytes())
    assert tls.context.minimum_version.name == "TLSv1_2"


def test_a_file_that_is_not_there_is_refused_by_the_name_of_its_setting(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)

    with pytest.raises(SettingsError, match="SEQRISK_TLS_CERTIFICATE_FILE: Expected a file"):
        Tls.of(_settings(tmp_path / "none", key))
    with pytest.raises(SettingsError, match="SEQRISK_TLS_KEY_FILE: Expected a file"):
        Tls.of(_settings(certificate, tmp_path / "none"))


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    certificate, _ = write_certificate(tmp_path)
    _, other_key = write_certificate(tmp_path / "other")

    with pytest.raises(SettingsError, match=r"SEQRISK_TLS_CERTIFICATE_FILE, SEQRISK_TLS_KEY_FILE: .*MISMATCH"):
        Tls.of(_settings(certificate, other_key))


def test_a_key_behind_a_passphrase_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    private = load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))

    with pytest.raises(SettingsError, match="without a passphrase"):
        Tls.of(_settings(certificate, key))


def test_what_is_no_pem_is_refused(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    certificate.write_text("certificate")

    with pytest.raises(SettingsError, match="certificate chain in PEM"):
        Tls.of(_settings(certificate, key))
