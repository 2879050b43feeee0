"""API keys: how they are made, kept and recognised.

new_key      a key, to be shown once
Key          what the file keeps of one, and what it may do
KeysError    the file is not right
read_keys    the file's content as keys by name
KeyRing      finds the key that a client presents
redacted     a text without the keys in it

A key is 256 random bits in a form of its own, so a fast hash keeps it safe: slow hashes (bcrypt, argon2) make up for
passwords that can be guessed, and nobody guesses one of 2**256 at any speed. What is not of that form is not even
hashed, so a guessable word cannot be used as a key, whatever digest somebody puts into the file.
"""

import re
import secrets
import tomllib
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

_PREFIX = "seqrisk_"
_RANDOM_BYTES = 32
# In base64 without padding.
_RANDOM_CHARACTERS = 43
_KEY = re.compile(rf"{_PREFIX}[A-Za-z0-9_-]{{{_RANDOM_CHARACTERS}}}")
_KEY_BYTES = re.compile(_KEY.pattern.encode())

# Shorter than a key, which therefore cannot stand where its name belongs: names are shown.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"
MAX_KEYS = 1_000

Permission = Literal["score", "metrics"]


def new_key() -> str:
    """A key; its prefix lets scanners find it where it should not be."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


class Key(BaseModel):
    """What the file keeps of a key, and what whoever has it may do."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    may: list[Permission] = Field(["score"], min_length=1)
    sequences_per_second: float | None = Field(None, ge=1e-3, le=1e9, allow_inf_nan=False)
    max_concurrent_requests: int | None = Field(None, ge=1)


_KEYS = TypeAdapter(
    Annotated[
        dict[Annotated[str, StringConstraints(pattern=NAME_PATTERN)], Key], Field(min_length=1, max_length=MAX_KEYS)
    ]
)


class KeysError(ValueError):
    """The content of the file is not right; the message names the place, and nothing that might be a key."""


def line_of(name: str, key: str) -> str:
    """What the file of keys says of a new key."""
    return f'{name} = {{ sha256 = "{sha256(key.encode()).hexdigest()}" }}'


def read_keys(content: bytes) -> dict[str, Key]:
    """Read the file: TOML, a table for each key under its name.

    Raises:
        KeysError: It is no such file, or holds no key.
    """
    try:
        keys = _KEYS.validate_python(tomllib.loads(content.decode()))
    except UnicodeDecodeError:
        raise KeysError("Expected TOML in UTF-8. Received: other bytes.") from None
    except ValidationError as error:
        raise KeysError(redacted(" ".join(_sentences(error)))) from None
    # Beside its own errors the library lets those of Python's numbers through, as of one with thousands of digits.
    except (ValueError, RecursionError) as error:
        raise KeysError(redacted(f"Expected TOML. Received: {error}.")) from None
    names = dict[str, str]()
    for name, key in keys.items():
        if (first := names.setdefault(key.sha256, name)) != name:
            raise KeysError(f"Expected a key of its own for each name. Received: one for both {first} and {name}.")
    return keys


class KeyRing:
    """Finds the key that a client presents, in a time that tells nothing about the keys.

    Looked up is the digest, whose bits nobody can choose, in a table whose hash is seeded anew in each process; what is
    found, or a stand-in, is then compared as a whole. So the steps are the same for a right key, a wrong one and one
    that differs in its last character, and their number does not depend on how many keys there are.

    Args:
        keys: By name.
    """

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self._kept = {digest: (name, digest) for name, key in keys.items() if (digest := bytes.fromhex(key.sha256))}
        self._nobody: tuple[str | None, bytes] = (None, secrets.token_bytes(_RANDOM_BYTES))

    def find(self, presented: bytes) -> str | None:
        """The name of the key; None if there is none like it."""
        if _KEY_BYTES.fullmatch(presented) is None:
            return None
        digest = sha256(presented).digest()
        name, kept = self._kept.get(digest, self._nobody)
        return name if compare_digest(kept, digest) else None


def redacted(text: str) -> str:
    """The text, without the keys in it."""
    return _KEY.sub(f"{_PREFIX}…", text)


def _sentences(error: ValidationError) -> list[str]:
    """Pydantic's findings without what was received: it might be a key where its digest should be."""
    return [
        f"{'.'.join(str(step) for step in found['loc'] if step != '[key]')[:80] or 'The file'}: {found['msg']}."
        for found in error.errors(include_input=False, include_url=False)
    ]
