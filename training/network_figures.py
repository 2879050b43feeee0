"""Figures of a network: how its fit went, how fast it forgets, and which events it takes to be alike.

training_curves   loss and validation metric by epoch
decay_curves      what time gates keep of the state over the minutes without an event
embedding_map     event types by what was learnt about them, in two dimensions
"""

import unicodedata
from collections.abc import Mapping

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from models.sequences import FIRST_EVENT_TYPE_ID, UNKNOWN_ID
from training.drawing import INK, LABEL_0_COLOUR, LABEL_1_COLOUR, NETWORK_COLOUR, Drawing, axes, figure_of, to_svg
from training.ensemble import members_of
from training.fit import FitResult
from training.metrics import FloatArray
from training.network_config import NetworkConfig
from training.recurrence import layer_names

_MINUTES = np.geomspace(0.1, 1_000_000, 141)
_NAMED_MINUTES = {
    1.0: "1 min",
    60.0: "1 h",
    1_440.0: "1 day",
    10_080.0: "1 week",
    43_800.0: "1 month",
    525_600.0: "1 year",
}
_MOST_NAMES = 40
_LONGEST_NAME = 26
_SMALLEST_DOT, _DOTS = 8.0, 500.0


def training_curves(fit: FitResult) -> Drawing | None:
    """Loss and validation metric by epoch; None where the fit kept no history."""
    if not fit.epochs:
        return None
    numbers = np.arange(1, len(fit.epochs) + 1)
    with axes(7.4, 4.2, rows=2, heights=(1.0, 1.0)) as (loss, ranking):
        for plot in (loss, ranking):
            plot.axvline(fit.best_epoch, color=INK, linewidth=0.8, linestyle=":")
        loss.plot(numbers, [epoch.loss for epoch in fit.epochs], color=LABEL_0_COLOUR, marker="o", markersize=3)
        loss.set(ylabel="loss (fit part)")
        values = [epoch.validation_roc_auc_weighted for epoch in fit.epochs]
        ranking.plot(numbers, values, color=NETWORK_COLOUR, marker="o", markersize=3)
        ranking.set(xlabel="epoch", ylabel="weighted ROC AUC\n(validation part)")
        ranking.xaxis.set_major_locator(MaxNLocator(integer=True))
        return Drawing(
            "training-curves",
            "Training curves",
            f"Each epoch is one pass over the fit part. The weights of epoch {fit.best_epoch} (dotted) were kept, as "
            "they rank the validation part best; a loss that still falls to its right is learning by heart.",
            to_svg(loss, "training-curves", "Training curves"),
        )


def decay_curves(network: keras.Model, config: NetworkConfig) -> Drawing | None:
    """What is left of the state after so many minutes without an event; None without a decay."""
    if config.decay == "none":
        return None
    kept = [_kept(members_of(network)[0].get_layer(layer).cell.gate_of_c) for layer in layer_names(config)]
    with axes(7.4, 1.0 + 2.4 * len(kept), rows=len(kept), heights=(1.0,) * len(kept)) as plots:
        for number, (plot, shares) in enumerate(zip(plots, kept, strict=True), start=1):
            for of_unit in shares.T:
                plot.plot(_MINUTES, of_unit, color=NETWORK_COLOUR, linewidth=0.7, alpha=0.5)
            plot.plot(_MINUTES, np.median(shares, axis=1), color=LABEL_1_COLOUR, linewidth=2.2, label="median unit")
            layer = f"layer {number}: " if len(kept) > 1 else ""
            plot.set(xscale="log", ylabel=f"{layer}share kept", ylim=(-0.02, 1.02), xlim=(_MINUTES[0], _MINUTES[-1]))
            plot.set_xticks(list(_NAMED_MINUTES), list(_NAMED_MINUTES.values()))
            plot.minorticks_off()
        plots[0].legend(loc="best")
        plots[-1].set_xlabel("time without an event")
        return Drawing(
            "decay-curves",
            "How fast the network forgets",
            f"What the {config.decay.replace('_', '-')} gate leaves of each unit's memory after a silence, a line a "
            f"unit.{_DECAY_NOTES.get(config.decay, '')}",
            to_svg(plots[0], "decay-curves", "Learned decay curves"),
        )


_DECAY_NOTES = {
    "input_dependent": " Events change the rate; drawn is that of an event whose numbers are all 0.",
    "t_lstm": " Only the short-term part of the memory fades, at the same fixed rate in all units.",
}


def embedding_map(network: keras.Model, event_type_shares: Mapping[str, float]) -> Drawing:
    """The learned numbers of every event type, projected onto the two directions in which they differ most.

    Args:
        network: Of `build_network`.
        event_type_shares: Share of each event type among all events, in the vocabulary's order.
    """
    # Of several members one is as good as another.
    weights = np.asarray(members_of(network)[0].get_layer("event_embedding").get_weights()[0], np.float64)[UNKNOWN_ID:]
    points, explained = _principal_components(weights)
    shares = np.array(list(event_type_shares.values()))
    unknown, known = points[0], points[FIRST_EVENT_TYPE_ID - UNKNOWN_ID :]
    with axes(7.4, 5.6) as (plot,):
        sizes = _SMALLEST_DOT + _DOTS * shares
        plot.scatter(known[:, 0], known[:, 1], s=sizes, color=NETWORK_COLOUR, alpha=0.45, linewidths=0)
        plot.scatter(unknown[:1], unknown[1:], s=28, color=LABEL_1_COLOUR, marker="x", label="unknown event")
        plot.margins(0.12)
        plot.set(xlabel=f"first direction ({explained[0]:.0%} of the differences)")
        plot.set(ylabel=f"second direction ({explained[1]:.0%})")
        plot.tick_params(length=0, labelbottom=False, labelleft=False)
        plot.legend(loc="best")
        by_share = np.argsort(-shares, kind="stable")
        names = list(event_type_shares)
        _name_dots(plot, [(names[index], known[index]) for index in by_share])
        return Drawing(
            "embedding-map",
            "Which events the network takes to be alike",
            "Event types that lie close together mean much the same to the network. Larger dots are more frequent; "
            "names that would overlap are left out.",
            to_svg(plot, "embedding-map", "Map of event embeddings"),
        )


def _kept(gate: keras.layers.Layer) -> FloatArray:
    """Share kept after each of `_MINUTES`, float64 (minute, unit)."""
    if not hasattr(gate, "kept"):
        # T-LSTM's fixed rate; see training.time_gates.ShortTermGate.
        return 1 / np.log(np.e + _MINUTES)[:, None]
    width = gate.kernel.shape[0] if hasattr(gate, "kernel") else 1
    event = np.zeros((len(_MINUTES), width), np.float32)
    return np.asarray(keras.ops.convert_to_numpy(gate.kept(event, _MINUTES.astype(np.float32)[:, None])), np.float64)


def _principal_components(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows in the two directions of greatest variance, (row, 2), and their shares of it, (2,)."""
    centred = weights - weights.mean(axis=0)
    left, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    # A direction is as good as its opposite: fixed, so that equal networks give equal maps.
    signs = np.sign(directions[np.arange(len(sizes)), np.abs(directions).argmax(axis=1)])
    points = np.zeros((len(weights), 2))
    points[:, : len(sizes)] = (left * sizes * signs)[:, :2]
    explained = np.zeros(2)
    explained[: len(sizes)] = (sizes**2 / max(float((sizes**2).sum()), np.finfo(float).tiny))[:2]
    return points, explained


def _name_dots(plot: Axes, dots: list[tuple[str, FloatArray]]) -> None:
    """Write names beside dots, the first ones first, as long as they overlap no other."""
    figure_of(plot).draw_without_rendering()
    taken: list[Bbox] = []
    for name, (x, y) in dots[:_MOST_NAMES]:
        for shift, alignment in ((5, "left"), (-5, "right")):
            text = plot.annotate(
                _readable(name), (x, y), (shift, 0), textcoords="offset points", ha=alignment, va="center", fontsize=7.5
            )
            box = text.get_window_extent()
            if plot.bbox.contains(*box.min) and plot.bbox.contains(*box.max) and not box.count_overlaps(taken):
                taken.append(box)
                break
            text.remove()


def _readable(name: str) -> str:
    """The name in one line that an SVG can hold."""
    clean = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(char)[0] == "C" else char for char in name)
    return clean if len(clean) <= _LONGEST_NAME else clean[: _LONGEST_NAME - 1] + "…"
