from .driver import Server, climb, fill, offer, serving
from .offered import Offered, table
from .sampling import shares

__all__ = ["Offered", "Server", "climb", "fill", "offer", "serving", "shares", "table"]
