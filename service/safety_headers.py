"""What every answer tells a browser, should one ever show it."""

from service.settings import Settings

_YEAR_SECONDS = 31_536_000


def safety_headers(settings: Settings) -> tuple[tuple[bytes, bytes], ...]:
    """Headers of every answer: what it is, that nobody keeps a copy, and over TLS that it stays so."""
    headers: tuple[tuple[bytes, bytes], ...] = (
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    )
    if settings.tls_certificate_file is not None:
        headers += ((b"strict-transport-security", b"max-age=%d" % _YEAR_SECONDS),)
    return headers
