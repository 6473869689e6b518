from .app import build
from .client import Client, ServiceError
from .remote import RemoteSession
from .server import serve
from .settings import Settings, load_settings

__all__ = [
    "Client",
    "RemoteSession",
    "ServiceError",
    "Settings",
    "build",
    "load_settings",
    "serve",
]
