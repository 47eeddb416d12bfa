"""Figures, one JSON object a line: ``{"name", "value", "unit", "bar", "holds", "detail"}``.

Ratios come from alternating runs in one process, medians of at least 5. One module a subject.
"""
