"""The page: one file with its style and script inside. It asks this server and no other host."""

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2


@cache
def page(*, name: str, classes: int, explains: bool, max_bytes: int) -> tuple[str, str]:
    """Write the upload page.

    Args:
        name: What the model is called.
        classes: How many it knows.
        explains: Whether there are heat maps.
        max_bytes: The largest image that the server takes.

    Returns:
        The page, and the policy that lets a browser run this one script and style and ask this one server.

    Examples:
        >>> text, policy = page(name="<b>.onnx", classes=3, explains=False, max_bytes=1000)
        >>> "&lt;b&gt;.onnx" in text, "connect-src 'self'" in policy
        (True, True)
    """
    style, script = _part("page.css"), _part("page.js")
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; "
        f"img-src blob: data:; style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'"
    )
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(_part("page.html"))
    text = template.render(
        name=name, classes=classes, explains=explains, max_bytes=max_bytes, style=style, script=script
    )
    return text, policy


def _part(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
