import numpy as np
import pytest

from training import bootstrap
from training.bootstrap import Bootstrap, interval


def test_every_resample_draws_as_many_entities_as_there_are_and_the_first_is_the_sample_itself() -> None:
    drawn = np.concatenate(list(Bootstrap(num_owners=30, num_seeds=1, num_resamples=200, seed=1).weights(50)))

    assert drawn.shape == (201, 30)
    assert (drawn.sum(axis=1) == 30).all()
    assert (drawn[0] == 1).all()
    assert drawn[1:].var() == pytest.approx(1.0, abs=0.1)


def test_pieces_of_resamples_are_the_same_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    resamples = Bootstrap(num_owners=30, num_seeds=1, num_resamples=50, seed=1)
    whole = np.concatenate(list(resamples.weights(50)))

    monkeypatch.setattr(bootstrap, "_WEIGHTS_A_PIECE", 300)

    assert np.concatenate(list(resamples.weights(50))).tolist() == whole.tolist()


def test_the_mean_over_drawn_seeds_varies_as_the_mean_over_seeds_does() -> None:
    """Figures that depend on the seed alone: their mean has the standard error s / √S."""
    of_seeds = np.array([0.70, 0.71, 0.68, 0.72, 0.69])
    resamples = Bootstrap(num_owners=1, num_seeds=5, num_resamples=20_000, seed=1)

    means = resamples.mean_over_seeds(np.tile(of_seeds, (20_001, 1)))

    assert means[0] == pytest.approx(of_seeds.mean())
    assert means[1:].std() == pytest.approx(of_seeds.std(ddof=1) / np.sqrt(5), rel=0.03)


def test_an_interval_holds_the_middle_95_percent_of_the_resamples_that_have_the_figure() -> None:
    sample = np.concatenate([[0.5], np.linspace(0, 1, 1001), [np.nan, np.nan]])

    figure = interval(sample)

    assert figure is not None
    assert (figure.value, figure.lower, figure.upper) == pytest.approx((0.5, 0.025, 0.975))
    assert interval(np.array([np.nan, 0.5])) is None


def test_a_figure_that_chance_makes_larger_lies_in_its_mirrored_interval() -> None:
    sample = np.append(0.02, np.linspace(0.021, 0.031, 101))

    mirrored = interval(sample, is_mirrored=True)

    assert mirrored is not None
    assert (mirrored.lower, mirrored.upper) == pytest.approx((0.04 - 0.03075, 0.04 - 0.02125))
    low = interval(sample - 0.0199, is_mirrored=True)
    assert low is not None
    assert low.lower == 0
