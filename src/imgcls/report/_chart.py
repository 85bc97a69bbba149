"""Charts as geometry: numbers in, places on a sheet of SVG units out. The template draws them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 22, 12, 44  # around the plot, in units
_MOST_POINTS = 300

Points = Sequence[tuple[float, float]]


class Line(NamedTuple):
    """A line of a chart.

    Attributes:
        label: What the legend says.
        style: "first", "second" or "guide": the template knows them.
        points: x and y.
        band: Lower and upper ends for each point, or none.
        sizes: A share of the largest area for a dot on each point, or none.
        word: What the words of a dot say of the share at y, such as "right".
    """

    label: str
    style: str
    points: Points
    band: Points = ()
    sizes: Sequence[float] = ()
    word: str = ""


class Drawn(NamedTuple):
    """A line as the template draws it: text for `points`, and dots (x, y, radius, words)."""

    label: str
    style: str
    points: str
    band: str
    dots: list[tuple[float, float, float, str]]


class Chart(NamedTuple):
    """What the template draws, in SVG units from the upper left corner."""

    title: str
    width: int
    height: int
    box: tuple[int, int, int, int]
    x_label: str
    y_label: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    lines: list[Drawn]


def chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    size: tuple[int, int] = (400, 280),
    x: tuple[float, float] | None = None,
    y: tuple[float, float] | None = None,
    percent: bool = False,
) -> Chart:
    """Lay out lines on axes.

    Args:
        lines: What is drawn; points that are not finite are left out.
        title: What the chart shows, for those who cannot see it.
        x_label: What stands below.
        y_label: What stands at the left.
        size: Width and height in units.
        x: The ends of the axis; None for those of the points.
        y: The same.
        percent: Whether both axes are shares.

    Examples:
        >>> one = chart([Line("loss", "first", [(1, 0.9), (2, 0.4)])], title="Loss", x_label="epoch", y_label="loss")
        >>> one.lines[0].points, [text for _, text in one.x_ticks]
        ('62.0,12.0 378.0,236.0', ['1', '2'])
    """
    width, height = size
    box = (_LEFT, _TOP, width - _RIGHT, height - _BOTTOM)
    lines = [_thin(line) for line in lines]
    across = x or _ends([place for line in lines for place, _ in line.points])
    up = y or _ends([place for line in lines for _, place in line.points])

    def put(point: tuple[float, float]) -> tuple[float, float]:
        left, top, right, bottom = box
        east = left + (right - left) * (point[0] - across[0]) / (across[1] - across[0])
        north = bottom - (bottom - top) * (point[1] - up[0]) / (up[1] - up[0])
        return round(east, 1), round(min(max(north, top), bottom), 1)

    drawn = []
    for line in lines:
        places = [put(point) for point in line.points]
        upper = [put((one[0], ends[1])) for one, ends in zip(line.points, line.band, strict=bool(line.band))]
        lower = [put((one[0], ends[0])) for one, ends in zip(line.points, line.band, strict=bool(line.band))]
        dots = [
            (*place, round(3 + 9 * math.sqrt(share), 1), f"{_share(point[0])} said, {_share(point[1])} {line.word}")
            for place, point, share in zip(places, line.points, line.sizes, strict=bool(line.sizes))
        ]
        drawn.append(Drawn(line.label, line.style, _text(places), _text(upper + lower[::-1]), dots))
    whole = all(float(place).is_integer() for line in lines for place, _ in line.points) and not percent
    x_ticks = [(put((value, up[0]))[0], _name(value, percent=percent)) for value in _ticks(*across, whole=whole)]
    y_ticks = [(put((across[0], value))[1], _name(value, percent=percent)) for value in _ticks(*up)]
    return Chart(title, width, height, box, x_label, y_label, x_ticks, y_ticks, drawn)


def _thin(line: Line) -> Line:
    """Return the line with at most 300 points, all of them finite."""
    count = len(line.points)
    every = max(1.0, (count - 1) / (_MOST_POINTS - 1))
    chosen = [round(step * every) for step in range(min(count, _MOST_POINTS))]
    kept = [place for place in chosen if all(map(math.isfinite, line.points[place]))]
    return line._replace(
        points=[line.points[place] for place in kept],
        band=[line.band[place] for place in kept] if line.band else (),
        sizes=[line.sizes[place] for place in kept] if line.sizes else (),
    )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Return some four to six round numbers from `low` to `high`."""
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    step = max(1.0, step) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _name(value: float, *, percent: bool) -> str:
    return f"{100 * value:.3g} %" if percent else f"{value:.6g}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _text(points: Points) -> str:
    return " ".join(f"{x},{y}" for x, y in points)
