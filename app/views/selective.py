"""What refusing the least confident predictions gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import pandas as pd
import streamlit as st

from app import cache, predictions
from app.charts.confidence import confidence_histograms
from app.charts.selective import risk_coverage_curves
from app.components.figure import show_figure
from app.predictions import Choices, Score
from ols_core.analysis.calibration import Reliability, RiskCoverage
from ols_core.runs import Run

__all__ = ["draw"]

_COVERAGES = (0.8, 0.9, 0.95)
_SINGLE_WIDTH = 640  # pixels of a histogram that stands alone
_TITLES: dict[Score, str] = {
    "confidence": "maximum probability",
    "normalised logit": "normalised logit",
}


def draw(runs: Sequence[Run], choices: Choices) -> None:
    """Draw risk against coverage, its summary, and the confidence of right and wrong images."""
    scores: tuple[Score, ...] = get_args(Score)
    curves = {
        run.id: {
            _TITLES[score]: predictions.risk_coverage(run, score, choices.scaled)
            for score in scores
            if score == "confidence" or predictions.has_probabilities(run)
        }
        for run in runs
    }
    show_figure(
        risk_coverage_curves(curves),
        key="risk_coverage",
        alt="Risk by coverage",
        name="risk-coverage",
        data=lambda: _curve_table(curves),
    )
    st.caption(
        "Predictions are accepted from the surest to the least sure one; a lower curve finds its "
        "own mistakes better. Label smoothing is known to degrade this even where it improves "
        "calibration, and normalised logits to win some of it back "
        "([arXiv 2403.14715](https://arxiv.org/abs/2403.14715)): whether that is so here, solid "
        "and dashed curves show. Normalised logit: the largest logit, after centring the logits "
        "and dividing them by their Euclidean norm."
    )
    _two_classes(runs)
    _summary(curves)
    st.subheader("Confidence of right and wrong predictions")
    diagrams = {
        run.id: cache.reliability(run, choices.n_bins, "equal-width", choices.scaled)
        for run in runs
    }
    show_figure(
        confidence_histograms(diagrams),
        key="confidence_histograms",
        alt="Confidence of right and wrong predictions",
        name="confidence",
        data=lambda: _histogram_table(diagrams),
        width=_SINGLE_WIDTH if len(runs) == 1 else "stretch",
    )
    st.caption(
        f"Filled: right predictions, hatched: wrong ones, in {choices.n_bins} bins of equal width. "
        "The less the two overlap, the more mistakes can be refused without losing much."
    )


def _two_classes(runs: Sequence[Run]) -> None:
    flat = [run.id for run in runs if run.n_classes == 2]
    if flat:
        st.caption(
            "With two classes the normalised logit is the same for every image and its curve is "
            f"flat: {', '.join(flat)}."
        )


def _summary(curves: Mapping[str, Mapping[str, RiskCoverage]]) -> None:
    rows = [
        {
            "Run": name,
            "Score": score,
            "AURC": curve.aurc,
            "AUGRC": curve.augrc,
            **{_at(coverage): curve.accuracy_at(coverage) for coverage in _COVERAGES},
        }
        for name, by_score in curves.items()
        for score, curve in by_score.items()
    ]
    number = st.column_config.NumberColumn
    columns = {
        "AURC": number(
            format="%.4f",
            help="Area under the curve: mean risk over all coverages. Lower is better.",
        ),
        "AUGRC": number(
            format="%.4f",
            help="Mean probability, over all coverages, that a prediction is accepted and wrong. "
            "Lower is better.",
        ),
        **{_at(coverage): number(format="percent") for coverage in _COVERAGES},
    }
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, column_config=columns, alt="Selective classification"
    )


def _at(coverage: float) -> str:
    return f"Accuracy at {coverage:.0%} coverage"


def _curve_table(curves: Mapping[str, Mapping[str, RiskCoverage]]) -> pd.DataFrame:
    """One row a run, score and number of accepted images: all of them, not only those drawn."""
    tables = [
        pd.DataFrame({"run": name, "score": score, "coverage": curve.coverage, "risk": curve.risk})
        for name, by_score in curves.items()
        for score, curve in by_score.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _histogram_table(diagrams: Mapping[str, Reliability]) -> pd.DataFrame:
    """One row a run and bin."""
    tables = [
        pd.DataFrame(
            {
                "run": name,
                "lower_edge": bins.edges[:-1],
                "upper_edge": bins.edges[1:],
                "right": bins.correct_counts,
                "wrong": bins.wrong_counts,
                "images": bins.n_samples,
            }
        )
        for name, bins in diagrams.items()
    ]
    return pd.concat(tables, ignore_index=True)
