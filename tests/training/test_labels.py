import numpy as np
import polars as pl
import pytest

from training.labels import MISSING, further_labels, label_name, label_reads


def read(written: list[str | None]) -> pl.DataFrame:
    rows = pl.DataFrame({"left": written, "moved": written}, schema={"left": pl.String, "moved": pl.String})
    return rows.select(**label_reads("left", ["moved"]))


def test_labels_are_zero_or_one_however_they_are_written() -> None:
    rows = read(["0", " 1", "True", "0.0", "false"])

    assert rows["label"].to_list() == rows[label_name("moved")].to_list() == [0, 1, 1, 0, 0]
    assert rows[label_name("moved")].dtype == pl.Int8


@pytest.mark.parametrize(("written", "further"), [("", MISSING), ("  ", MISSING), (None, MISSING), ("2", None)])
def test_a_further_label_may_be_blank_and_nothing_else(written: str | None, further: int | None) -> None:
    rows = read([written])

    assert rows["label"].to_list() == [None]
    assert rows[label_name("moved")].to_list() == [further]


def test_a_blank_is_no_number() -> None:
    labels = further_labels(read(["1", "", "0"]), ["moved"])

    np.testing.assert_array_equal(labels["moved"], np.array([1.0, np.nan, 0.0], np.float32))
