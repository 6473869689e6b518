from . import metrics, plots, published, recall, statistics

__all__ = ["metrics", "plots", "published", "recall", "statistics"]
