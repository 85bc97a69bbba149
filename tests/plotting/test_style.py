"""Colours hold without colour: on a gray printer and for colour-blind eyes."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from imgcls.plotting._style import (
    BAR,
    DASHES,
    FIRST,
    HEAT,
    MARKERS,
    PALETTE,
    SECOND,
    SHARES,
    fitting,
    legend,
    new_axes,
    short,
    thinned,
)

TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
# Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009), severity 1.0, on linear RGB.
BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colors):
    """Undo the curve of sRGB (IEC 61966-2-1)."""
    rgb = np.array([to_rgb(color) for color in colors])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(colors, seen_as=None):
    """CIE 1976 L*a*b*, white D65."""
    light = linear(colors)
    if seen_as is not None:
        light = np.clip(light @ np.transpose(BLIND[seen_as]), 0, 1)
    ratio = light @ np.transpose(TO_XYZ) / [0.95047, 1, 1.08883]
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def lightness(colors):
    return lab(colors)[:, 0]


def test_the_ruler_itself():
    np.testing.assert_allclose(lightness(["black", "white", "#777777"]), [0, 100, 50.03], atol=0.01)


@pytest.mark.parametrize("name", [SHARES, HEAT])
def test_maps_of_amounts_are_monotone_in_lightness(name):
    steps = np.diff(lightness(colormaps[name](np.linspace(0, 1, 64))))
    assert (steps > 0).all() or (steps < 0).all()
    assert abs(steps.sum()) > 70


def test_in_gray_no_two_of_ten_curves_are_alike():
    assert len(PALETTE) == len(MARKERS) == len(DASHES) == 10
    assert len(set(PALETTE)) == len(set(MARKERS)) == 10
    gray = lightness(PALETTE)
    same = [(a, b) for a, b in combinations(range(10), 2) if DASHES[a] == DASHES[b]]
    assert same
    assert all(abs(gray[a] - gray[b]) > 11 for a, b in same)
    assert len({str(dashes) for dashes in DASHES[:3]}) == 3


def test_where_there_are_two_one_is_dark_and_one_light():
    dark, light = lightness([FIRST, SECOND])
    assert light - dark > 15


def test_black_whiskers_show_on_bars():
    luminance = (linear([BAR]) @ [0.2126, 0.7152, 0.0722]).item()
    assert (luminance + 0.05) / 0.05 > 7  # the contrast that WCAG 2.2 calls enhanced


@pytest.mark.parametrize("kind", BLIND)
def test_colour_blind_readers_tell_neighbours_apart(kind):
    """A distance of 10 in L*a*b* is several times what eyes can just tell; dashes and markers carry the rest."""
    seen = lab(PALETTE[:6], kind)
    assert min(np.linalg.norm(seen[a] - seen[b]) for a, b in combinations(range(6), 2)) > 10


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat", "cat"),
        (7, "7"),
        ("x" * 32, "x" * 32),
        ("north american river otter, left side", "north american …tter, left side"),
        ("ros\udce9", r"ros\udce9"),  # the folder b"ros\xe9"
    ],
)
def test_long_names_lose_their_middle(name, expected):
    assert short(name) == expected


@pytest.mark.parametrize(("space", "expected"), [(30, (1, 10)), (7, (1, 6.3)), (5.5, (1, 5)), (3, (2, 5)), (1, (6, 5))])
def test_names_shrink_and_then_thin_out(space, expected):
    assert fitting(space) == pytest.approx(expected)
    every, size = fitting(space)
    assert every * space >= 1.09 * size  # lines of text need a tenth more than their size


def test_long_curves_are_thinned_and_keep_their_ends():
    np.testing.assert_array_equal(thinned(np.zeros(3)), [0, 1, 2])
    np.testing.assert_array_equal(thinned(np.zeros(1)), [0])
    million = thinned(np.linspace(0, 1, 1_000_000))
    assert len(million) == 2_000
    assert (million[0], million[-1]) == (0, 999_999)
    assert np.diff(million).max() <= 501


def test_a_thinned_curve_goes_the_whole_way():
    """A wild curve: steps of all sizes, most of them tiny; nothing of it is farther than a pixel from what is kept."""
    random = np.random.default_rng(0)
    x = np.cumsum(random.pareto(1.1, 100_000))
    x, y = x / x[-1], np.cumsum(random.normal(size=100_000) / np.arange(1, 100_001)) / 5
    found = thinned(x, y)
    assert 100 < len(found) <= 2_000
    way = np.append(0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    nearest = np.abs(
        way[:, None] - way[found][np.searchsorted(way[found], way)[:, None].clip(1, len(found) - 1) - [0, 1]]
    )
    assert nearest.min(axis=1).max() <= way[-1] / 1_999


def test_what_is_no_number_does_not_stop_the_thinning():
    column = np.append([np.inf, np.nan], np.linspace(1, 0, 5_000))  # such as scikit-learn's first threshold
    found = thinned(column)
    assert len(found) > 1_900
    assert found[-1] == len(column) - 1


@pytest.mark.parametrize(
    ("entries", "inside", "outside"), [(4, "upper left", False), (5, "upper left", True), (1, None, True)]
)
def test_legends_that_would_hide_data_stand_beside_it(entries, inside, outside):
    ax = new_axes()
    for index in range(entries):
        ax.plot([0, 1], label=rf"$\frac{index}$")
    legend(ax, inside)
    ax.figure.canvas.draw()
    texts = ax.get_legend().get_texts()
    assert [text.get_text() for text in texts] == [rf"$\frac{index}$" for index in range(entries)]
    left = ax.get_legend().get_window_extent().x0
    assert bool(left >= ax.get_window_extent().x1) is outside
    assert ax.get_legend().get_window_extent().x1 <= ax.figure.bbox.x1
    plt.close(ax.figure)
