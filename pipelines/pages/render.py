"""Pages that open from disk: style, drawings and pictures inside, nothing from the network.

A page is a template that extends `base.html` of templates/, which also has what pages share:
`style.css` and the macros of `drawings.html`. Everything that a template prints is escaped.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.pages.words import FILTERS
from retrieval.storage.files import atomic_file

SHARED = Path(__file__).with_name("templates")


def render(template: str, facts: Mapping[str, Any], folders: Sequence[Path] = ()) -> str:
    """A page as HTML, the same for the same facts.

    Args:
        template: A file of `folders`, or one that pages share.
        facts: What the template reads; a name that it lacks is an error.
        folders: Where a page's own templates lie.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([*folders, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment.get_template(template).render(facts)


def write_page(path: Path, html: str) -> None:
    """Write a page in place of an older one."""
    with atomic_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
