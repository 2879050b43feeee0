import hmac
import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import keys as keys_module
from service.keys import KeyRing, KeysError, line_of, new_key, read_keys, redacted

# The same in every worker that collects these tests.
RIGHT, OTHER = (f"seqrisk_{letter * 42}A" for letter in "ab")
FILE = f"""
{line_of("fraud-team", RIGHT)}

[batch]
sha256 = "{sha256(OTHER.encode()).hexdigest()}"
may = ["score", "metrics"]
sequences_per_second = 500
max_concurrent_requests = 4
"""


def test_a_new_key_is_256_random_bits_behind_a_prefix_that_scanners_find() -> None:
    assert len({new_key() for _ in range(100)}) == 100
    assert re.fullmatch(r"seqrisk_[A-Za-z0-9_-]{43}", new_key())


def test_the_file_keeps_digests_and_limits() -> None:
    keys = read_keys(FILE.encode())

    assert keys["fraud-team"].may == ["score"]
    assert (keys["fraud-team"].sequences_per_second, keys["fraud-team"].max_concurrent_requests) == (None, None)
    assert keys["batch"].may == ["score", "metrics"]
    assert (keys["batch"].sequences_per_second, keys["batch"].max_concurrent_requests) == (500, 4)
    assert RIGHT not in FILE


def test_each_key_is_found_by_its_name_and_nothing_else_is() -> None:
    ring = KeyRing(read_keys(FILE.encode()))

    assert (ring.find(RIGHT.encode()), ring.find(OTHER.encode())) == ("fraud-team", "batch")
    for wrong in (
        new_key(),
        RIGHT[:-1],
        RIGHT + "A",
        RIGHT.upper(),
        "",
        "fraud-team",
        sha256(RIGHT.encode()).hexdigest(),
    ):
        assert ring.find(wrong.encode()) is None


def test_a_word_that_could_be_guessed_is_no_key_even_if_the_file_has_its_digest() -> None:
    file = f'weak = {{ sha256 = "{sha256(b"password").hexdigest()}" }}'

    assert KeyRing(read_keys(file.encode())).find(b"password") is None


def test_right_wrong_and_nearly_right_keys_take_the_same_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """One digest and one comparison of it as a whole, whatever is presented: nothing that time could tell."""
    compared: list[tuple[int, int]] = []

    def compare(kept: bytes, presented: bytes) -> bool:
        compared.append((len(kept), len(presented)))
        return hmac.compare_digest(kept, presented)

    monkeypatch.setattr(keys_module, "compare_digest", compare)
    ring = KeyRing(read_keys(FILE.encode()))
    last = "A" if RIGHT[-1] != "A" else "B"
    for presented in (RIGHT, OTHER, new_key(), RIGHT[:-1] + last):
        ring.find(presented.encode())

    assert compared == [(32, 32)] * 4


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("", "at least 1 item"),
        ("fraud-team = 1", "fraud-team"),
        ('fraud-team = { sha256 = "abc" }', "fraud-team.sha256"),
        (f'fraud-team = {{ sha256 = "{RIGHT}" }}', "fraud-team.sha256"),
        (f'{RIGHT} = {{ sha256 = "{"0" * 64}" }}', "seqrisk_…"),
        (line_of("a", RIGHT) + "\n" + line_of("b", RIGHT), "both a and b"),
        (line_of("a", RIGHT) + "\n" + line_of("a", OTHER), "TOML"),
        (line_of("a", RIGHT).replace(" }", ", max = 3 }"), "a.max"),
        (line_of("a", RIGHT).replace(" }", ', may = ["rule"] }'), "a.may.0"),
        (line_of("a", RIGHT).replace(" }", ", sequences_per_second = 0 }"), "a.sequences_per_second"),
        (line_of("a", RIGHT).replace(" }", ", sequences_per_second = nan }"), "a.sequences_per_second"),
        (line_of("a", RIGHT).replace(" }", ", max_concurrent_requests = 0 }"), "a.max_concurrent_requests"),
        (line_of("a", RIGHT).replace(" }", ", sequences_per_second = 1e-320 }"), "a.sequences_per_second"),
        ("a = " + "[" * 10_000, "TOML"),
        ("a = " + "9" * 5_000, "TOML"),
        (f"{RIGHT}", "TOML"),
    ],
)
def test_a_file_that_is_not_right_is_refused_by_the_place_and_without_a_key(file: str, told: str) -> None:
    with pytest.raises(KeysError) as refusal:
        read_keys(file.encode())

    assert told in str(refusal.value)
    assert RIGHT not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(KeysError, match="UTF-8"):
        read_keys(b"\xff\xfe")


@given(before=st.text(), after=st.text(st.characters(exclude_characters="_-", exclude_categories=("L", "N"))))
def test_no_text_shows_a_key_once_it_is_redacted(before: str, after: str) -> None:
    assert redacted(before + RIGHT + after) == f"{before}seqrisk_…{after}"
