"""Facts in, one HTML page out. Whatever is not part of the template is escaped."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2


def data_page(
    *,
    title: str,
    images: int,
    severities: Mapping[str, int],
    counts: Mapping[Any, int],
    findings: Sequence[Mapping[str, Any]],
) -> str:
    """Write the page of a `DataReport`.

    Args:
        title: The report in one line.
        images: How many were checked.
        severities: How many findings are errors, warnings and notes.
        counts: How many images each class has.
        findings: Mappings with a `finding`, the `groups` of pictures to show (id, label, size, source), the number of
            images that are not shown (`rest`), and whether the groups mean something (`grouped`).

    Examples:
        >>> none = {"error": 0, "warning": 0, "note": 0}
        >>> page = data_page(title="2 images", images=2, severities=none, counts={"<cat>": 2}, findings=[])
        >>> "&lt;cat&gt;" in page, "<cat>" in page
        (True, False)
    """
    return _template().render(
        title=title,
        images=images,
        severities=severities,
        counts=counts,
        most=max(counts.values(), default=0),
        findings=findings,
    )


@cache
def _template() -> "jinja2.Template":
    import jinja2  # when the first page is written: most programs write none

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("imgcls.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("data.html")
