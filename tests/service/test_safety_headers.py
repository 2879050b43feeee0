from pathlib import Path

from service.safety_headers import safety_headers
from service.settings import Settings


def test_nobody_guesses_at_or_keeps_an_answer() -> None:
    assert dict(safety_headers(Settings())) == {b"x-content-type-options": b"nosniff", b"cache-control": b"no-store"}


def test_over_tls_it_is_to_stay_so() -> None:
    settings = Settings(tls_certificate_file=Path("certificate"), tls_key_file=Path("key"))

    assert dict(safety_headers(settings))[b"strict-transport-security"] == b"max-age=31536000"
