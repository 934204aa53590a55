"""Figures: one module a chart family; analysis results in, `plotly.graph_objects.Figure` out."""
