from .audit import interval_of, measure, measure_here, table
from .levels import third_level
from .measured import Measured

__all__ = ["Measured", "interval_of", "measure", "measure_here", "table", "third_level"]
