from . import compare, metrics, plots, published, recall, significance, statistics, tables

__all__ = [
    "compare",
    "metrics",
    "plots",
    "published",
    "recall",
    "significance",
    "statistics",
    "tables",
]
