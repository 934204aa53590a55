"""Record what a random forest predicts: python examples/sklearn_forest.py."""

from __future__ import annotations

from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from ols_core import Run, RunRecorder


def main(root: str | Path = "checkpoints", trees: int = 100) -> Run:
    """Fit on scikit-learn's digits and return the recorded run."""
    digits = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        digits.data, digits.target, test_size=0.2, random_state=0
    )
    forest = RandomForestClassifier(trees, random_state=0).fit(train_x, train_y)
    pictures = (test_x.reshape(-1, 8, 8) * 15).astype("uint8")
    return RunRecorder.from_estimator(
        forest, test_x, test_y, name="sklearn-forest", root=root, dataset="digits", images=pictures
    )


if __name__ == "__main__":
    print(main().info.summary["test"])
