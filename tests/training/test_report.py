from dataclasses import replace
from html.parser import HTMLParser

from models.repository import Artifact
from tests.training.evaluations import evaluation
from training.report import REPORT_FILE, VERDICTS, cautions, render

VOID = {"meta", "br", "hr", "img", "input", "link"}
FIGURES = ["ranking-by-length", "risk-by-length", "reliability", "drift", "roc", "precision-recall"]
HOSTILE = "<script>alert('x')</script>"


class Page(HTMLParser):
    """A page's text, figures, anchors and links; closing tags must match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.figures: dict[str, int] = {}
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self._figure = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.tags.append(tag)
        if tag not in VOID:
            self._open.append(tag)
        if told.get("id"):
            self.ids.append(str(told["id"]))
        if tag == "figure":
            self._figure = str(told["id"])
        if tag in {"path", "use"}:
            self.figures[self._figure] = self.figures.get(self._figure, 0) + 1
        self.links += [str(told[key]) for key in ("href", "src") if key in told]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_a_published_model_carries_a_page_with_every_figure(artifact: Artifact) -> None:
    text = (artifact.directory / REPORT_FILE).read_text(encoding="utf-8")
    page = Page(text)

    assert [name for name, num_shapes in page.figures.items() if num_shapes > 10] == [
        *FIGURES,
        "training-curves",
        "embedding-map",
    ]
    words = " ".join(" ".join(page.words).split())
    assert "this customer will leave" in words
    assert artifact.manifest.provenance.data_sha256 in words
    assert "has no time gates" in words
    assert REPORT_FILE.as_posix() in artifact.manifest.files
    assert len(text) < 1_000_000


def test_the_page_is_whole_in_itself(artifact: Artifact) -> None:
    text = (artifact.directory / REPORT_FILE).read_text(encoding="utf-8")
    page = Page(text)

    assert "://" not in text
    assert "url(" not in text.replace("url(#", "")
    assert not {"script", "link", "iframe", "img"} & set(page.tags)
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


def test_the_same_run_gives_the_same_page(artifact: Artifact) -> None:
    again = artifact.directory.parent / "2" / REPORT_FILE

    assert again.read_bytes() == (artifact.directory / REPORT_FILE).read_bytes()


def test_an_evaluation_alone_has_a_page_on_which_names_are_shown_and_never_obeyed() -> None:
    page = Page(render(evaluation(HOSTILE, predicts=HOSTILE, value=HOSTILE, has_dates=False)))

    assert list(page.figures) == [name for name in FIGURES if name != "drift"]
    assert "card" not in page.ids
    assert "script" not in page.tags
    assert " ".join(page.words).count(HOSTILE) >= 4


def test_the_verdict_comes_before_everything_else(artifact: Artifact) -> None:
    words = " ".join(Page((artifact.directory / REPORT_FILE).read_text(encoding="utf-8")).words)

    (verdict,) = [headline for headline in VERDICTS.values() if headline in words]
    assert words.index(verdict) < words.index("When not to use it") < words.index("Contents")


def test_cautions_follow_from_the_figures() -> None:
    usual = evaluation()
    figures = {metric: replace(figure, value=0.12) for metric, figure in usual.figures["network"].items()}
    off = replace(usual, verdict="not_predictable", figures={**usual.figures, "network": figures})

    first, where, *others = cautions(usual, None)
    assert first.startswith("Not for the sake of accuracy alone")
    assert where == "With care where it ranks worse than gradient boosting: month 2026-05."
    assert len(others) == 1

    first, *_, probability, _ = cautions(off, None)
    assert first.startswith("Not at all")
    assert probability.startswith("Not as a probability: risks are off by 12 percentage points")
