import pytest

from tests.training.histories import random_log
from tests.training.test_evaluation import judged
from training.prefixes import cut_prefixes
from training.verdict import WorseThanAggregatesError, require_worth


def test_a_network_that_boosting_beats_is_refused_with_the_figures_and_the_way_out() -> None:
    prefixes = cut_prefixes(random_log(3, 300))

    with pytest.raises(WorseThanAggregatesError, match=r"gradient_boosting ranks better than network by 0\.\d{3}") as e:
        require_worth(judged(prefixes, 0.1, 0.4))

    assert "--publish-worse" in str(e.value)


def test_a_network_that_is_not_distinguishable_from_boosting_may_be_published() -> None:
    require_worth(judged(cut_prefixes(random_log(3, 300)), 0.3, 0.3))
