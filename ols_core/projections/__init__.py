"""Features laid out in the plane or in space: of one run, or of several in one frame.

Layouts are stored with the runs, so that none is made twice; see `ols_core.projections.files` for
what is on disk. Finding one loads neither umap nor scikit-learn.
"""

from ols_core.projections.files import find_layout
from ols_core.projections.layout import compute_layout, layout
from ols_core.projections.request import METHODS, Layout, LayoutRequest, Member, feature_digest

__all__ = [
    "METHODS",
    "Layout",
    "LayoutRequest",
    "Member",
    "compute_layout",
    "feature_digest",
    "find_layout",
    "layout",
]
