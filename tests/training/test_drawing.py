import re

from training.drawing import INK, NETWORK_COLOUR, axes, to_svg


def draw(name: str, text: str = "risk") -> str:
    with axes(3, 2) as (plot,):
        plot.plot([0, 1], [0, 1], color=NETWORK_COLOUR, marker="o")
        plot.annotate(text, (0.5, 0.5), color=INK)
        return to_svg(plot, name, "A line")


def test_equal_figures_are_equal_to_the_byte_and_different_ones_share_no_id() -> None:
    assert draw("first") == draw("first")

    ids = [set(re.findall(r' id="([^"]+)"', draw(name))) for name in ("first", "second")]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_a_figure_takes_the_colours_of_its_page_and_names_no_address() -> None:
    svg = draw("first")

    assert "stroke: var(--network)" in svg
    assert "#0101" not in svg
    assert "://" not in svg
    assert svg.startswith("<svg ")
    assert 'aria-label="A line"' in svg


def test_words_stay_words_whatever_they_hold() -> None:
    svg = draw("first", "<script>alert('$x$')</script> & Überfall")

    assert "&lt;script&gt;alert('$x$')&lt;/script&gt; &amp; Überfall" in svg
    assert "<script" not in svg
