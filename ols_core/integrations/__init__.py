"""Callbacks that record a run while another framework trains.

Each module needs its framework: `ols_core.integrations.lightning`,
`ols_core.integrations.transformers`.
"""
