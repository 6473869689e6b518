"""The templates that lie beside this module."""

from __future__ import annotations

__all__ = ["render"]


def render(template: str, **values: object) -> str:
    """Return a page; every value is escaped but where the template says that it is safe."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mlsdm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)
