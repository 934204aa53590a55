"""Training curves of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal

import plotly.graph_objects as go

from app.charts.theme import empty, epochs_axis, fixed_figure, line

__all__ = ["CURVES", "Along", "elapsed", "training_curves", "value_curves"]

Along = Literal["epoch", "time"]
History = Sequence[Mapping[str, Any]]
_Axis = dict[str, Any]

_TIME_UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
_DASH_NAMES = {"dot": "dotted", "solid": "solid"}
CURVES: dict[str, tuple[str, tuple[tuple[str, str, str], ...]]] = {
    "Accuracy": (
        "share of images",
        (("train_accuracy", "train", "dot"), ("val_accuracy", "validation", "solid")),
    ),
    "NLL": ("nats", (("val_nll", "validation", "solid"),)),
    "ECE": ("share, 15 equal-width bins", (("val_ece", "validation", "solid"),)),
    "Brier score": ("sum over classes", (("val_brier", "validation", "solid"),)),
    "Training loss": ("nats, each run's own loss", (("train_loss", "train", "solid"),)),
    "Learning rate": ("learning rate", (("lr", "", "solid"),)),
}
"""Title → (unit, curves as (key in the history, split, line style))."""


def elapsed(records: History) -> list[float]:
    """Seconds of training up to the end of each epoch; none if an epoch's are not recorded.

    Examples
    --------
    >>> elapsed([{"epoch": 1, "seconds": 10.0}, {"epoch": 2, "seconds": 12.5}])
    [10.0, 22.5]
    >>> elapsed([{"epoch": 1, "seconds": 10.0}, {"epoch": 2}])
    []
    """
    seconds = [record["seconds"] for record in records if record.get("seconds") is not None]
    return list(accumulate(seconds)) if len(seconds) == len(records) else []


def training_curves(
    histories: Mapping[str, History], title: str, height: int = 360, along: Along = "epoch"
) -> go.Figure:
    """Overlay one quantity of several runs, by epoch or by training time.

    Parameters
    ----------
    histories : mapping
        Run name → records of its history, in the order of the runs' colours.
    title : str
        A key of `CURVES`.
    height : int
        In pixels.
    along : {"epoch", "time"}
        What the runs are aligned by; by time, those without recorded times are left out.
    """
    unit, curves = CURVES[title]
    axis, positions, place = _epochs(histories) if along == "epoch" else _times(histories)
    lines: list[dict[str, Any]] = []
    for order, (name, records) in enumerate(histories.items()):
        for key, split, dash in curves:
            points = [
                (x, record[key], record["epoch"])
                for x, record in zip(positions[name], records, strict=False)
                if record.get(key) is not None
            ]
            if not points:
                continue
            x, y, epochs = zip(*points, strict=True)
            curve = line(
                x,
                y,
                name,
                order,
                dash,
                customdata=epochs,
                legendgroup=name,
                showlegend=key == curves[-1][0],
                hovertemplate=f"{name} {split}<br>{place}: %{{y:.4f}}<extra></extra>",
            )
            lines.append(curve)
    if not lines:
        return empty(title, "No history is stored for these runs.", height)
    # One legend entry a run: the line styles are told in the title.
    styles = [
        f"{split} {_DASH_NAMES[dash]}" if len(curves) > 1 else split for _, split, dash in curves
    ]
    heading = ", ".join([title, *filter(None, styles)])
    return fixed_figure(lines, heading, height, x=axis, y={"title": unit})


def _epochs(histories: Mapping[str, History]) -> tuple[_Axis, dict[str, list[float]], str]:
    """Axis, positions of each run's records, and how a hover text tells one."""
    positions = {name: [r["epoch"] for r in records] for name, records in histories.items()}
    last = max(map(len, histories.values()), default=0)
    return epochs_axis(last), positions, "epoch %{x}"


def _times(histories: Mapping[str, History]) -> tuple[_Axis, dict[str, list[float]], str]:
    """Do the same by training time, in the largest unit that the longest run has two of."""
    seconds = {name: elapsed(records) for name, records in histories.items()}
    longest = max((times[-1] for times in seconds.values() if times), default=0.0)
    unit, length = next((u for u in _TIME_UNITS if longest >= 2 * u[1]), _TIME_UNITS[-1])
    positions = {name: [time / length for time in times] for name, times in seconds.items()}
    axis = {"title": f"training time, {unit}"}
    return axis, positions, f"%{{x:.2f}} {unit}, epoch %{{customdata}}"


def value_curves(
    curves: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    title: str,
    unit: str,
    height: int = 340,
) -> go.Figure:
    """Draw one curve a run, by epoch.

    Parameters
    ----------
    curves : mapping
        Run name → (epochs, values), in the order of the runs' colours.
    title, unit : str
    height : int
        In pixels.
    """
    lines = [
        line(
            list(epochs),
            list(values),
            name,
            position,
            mode="lines+markers",
            hovertemplate=f"{name}<br>epoch %{{x}}: %{{y:.3f}}<extra></extra>",
        )
        for position, (name, (epochs, values)) in enumerate(curves.items())
    ]
    last = max((max(epochs) for epochs, _ in curves.values() if epochs), default=0)
    return fixed_figure(lines, title, height, x=epochs_axis(last), y={"title": unit})
