"""Penultimate features: maps of them, and what can be said about them without one."""

from __future__ import annotations

from ols_core.analysis._alignment import procrustes
from ols_core.analysis._class_geometry import ClassGeometry, class_geometry
from ols_core.analysis._embedding_metrics import EmbeddingMetrics, embedding_metrics
from ols_core.analysis._faithfulness import Faithfulness, faithfulness
from ols_core.analysis._neighbours import Neighbours, nearest_neighbours
from ols_core.analysis._polygon import inside_polygon
from ols_core.analysis._projection import Projection, ProjectionMethod, project, project_aligned
from ols_core.analysis._sample import stratified_sample
from ols_core.analysis._suspects import Detection, Suspects, suspect_detection, suspects
from ols_core.analysis._three_classes import ThreeClassPlane, three_class_plane

__all__ = [
    "ClassGeometry",
    "Detection",
    "EmbeddingMetrics",
    "Faithfulness",
    "Neighbours",
    "Projection",
    "ProjectionMethod",
    "Suspects",
    "ThreeClassPlane",
    "class_geometry",
    "embedding_metrics",
    "faithfulness",
    "inside_polygon",
    "nearest_neighbours",
    "procrustes",
    "project",
    "project_aligned",
    "stratified_sample",
    "suspect_detection",
    "suspects",
    "three_class_plane",
]
