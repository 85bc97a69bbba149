# ruff: noqa: INP001 - a file that mkdocs loads, not a package
"""Let the reference show "Example:" sections as code: the parser of Google docstrings knows "Examples:" only."""

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Read "Example:" as "Examples:"."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section in the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^(\s*)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE)
