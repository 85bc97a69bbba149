"""A grid holds images, titles and heat as they are."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from imgcls.errors import ConfigurationError
from imgcls.plotting import image_grid

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
HEAT = np.linspace(0, 1, 48).reshape(6, 8)


@pytest.fixture
def ax():
    return plt.subplots()[1]


def test_a_grid_holds_images_and_titles_as_they_are():
    images = [np.full((4, 3 + index, 3 if index else 1), 40 * index, np.uint8) for index in range(5)]
    titles = ["$5 and $10", "a_b", r"$\frac$", "x^2"]
    axes = image_grid(images, titles, wrong=[False, True])
    assert axes.shape == (5,)
    assert [ax.get_title() for ax in axes] == ["$5 and $10", "✗ a_b", r"$\frac$", "x^2", ""]
    assert not any(ax.title.get_parse_math() for ax in axes[:4])
    assert axes[0].title.get_color() != axes[1].title.get_color()
    for ax, image in zip(axes, images, strict=True):
        np.testing.assert_array_equal(ax.get_images()[0].get_array(), image[..., 0] if image.shape[2] == 1 else image)
        assert ax.get_images()[0].get_clim() == (0, 255)
    axes[0].figure.canvas.draw()


def test_names_that_are_no_text_are_drawn_escaped():
    axes = image_grid([IMAGE] * 2, ["ros\udce9", "ros\udce9 → cat"], wrong=[False, True])
    assert [ax.get_title() for ax in axes] == [r"ros\udce9", r"✗ ros\udce9 → cat"]
    axes[0].figure.canvas.draw()


@pytest.mark.parametrize(("bands", "shown"), [(1, 0), (2, 0), (3, slice(3)), (4, slice(3)), (5, slice(3))])
def test_of_many_bands_three_are_shown_and_of_two_the_first(bands, shown, ax):
    image = np.random.default_rng(0).integers(0, 256, (6, 8, bands)).astype(np.uint8)
    image_grid([image], heat=[HEAT], ax=ax)
    np.testing.assert_array_equal(ax.get_images()[0].get_array(), image[..., shown])
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    ("count", "columns", "shape"), [(1, None, (1, 1)), (5, None, (2, 3)), (5, 5, (1, 5)), (70, None, (9, 8))]
)
def test_the_shape_of_a_grid(count, columns, shape):
    axes = image_grid([np.zeros((2, 2, 1), np.uint8)] * count, columns=columns)
    grid = axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == shape
    assert len(axes) == count
    assert all(not ax.axison for ax in axes[0].figure.axes)


def test_one_image_goes_where_asked_and_none_draws_nothing(ax):
    image = np.zeros((2, 2, 1), np.uint8)
    assert image_grid([image], ["a"], ax=ax)[0] is ax
    before = plt.get_fignums()
    assert image_grid([]).shape == (0,)
    assert plt.get_fignums() == before
    with pytest.raises(ConfigurationError, match=r"^ax takes one image and there are 2\. Leave ax out for a grid\.$"):
        image_grid([image] * 2, ax=ax)


def test_long_titles_are_broken_into_lines_and_stay_above_their_image():
    axes = image_grid([IMAGE] * 4, ["Zantedeschia aethiopica → Anthurium andraeanum", "rock → sea slug"] * 2)
    assert axes[0].get_title() == "Zantedeschia aethiopica →\nAnthurium andraeanum"
    assert axes[1].get_title() == "rock → sea slug"
    axes[0].figure.canvas.draw()
    boxes = [ax.title.get_window_extent() for ax in axes]
    assert not boxes[0].overlaps(boxes[1])
    assert not boxes[2].overlaps(boxes[3])


def test_heat_lies_over_images_the_hotter_the_less_transparent(ax):
    assert image_grid([IMAGE], ["a"], heat=[HEAT], ax=ax)[0] is ax
    below, above = ax.get_images()
    np.testing.assert_array_equal(below.get_array(), IMAGE)
    np.testing.assert_array_equal(above.get_array(), HEAT)
    assert above.get_clim() == (0, 1)
    np.testing.assert_allclose(above.get_alpha(), 0.75 * HEAT)  # the image is seen below the hottest place too
    assert below.get_extent() == above.get_extent()
    assert len(ax.collections) == 2  # a line around what is hotter than half, white on black
    assert not ax.axison
    ax.figure.canvas.draw()


def test_heat_of_any_size_is_stretched_over_its_own_image():
    images = [IMAGE, IMAGE[..., :1], IMAGE[:3]]
    axes = image_grid(images, heat=[HEAT[:2, :3], HEAT.T, HEAT])
    for ax, image, heat in zip(axes, images, [HEAT[:2, :3], HEAT.T, HEAT], strict=True):
        np.testing.assert_array_equal(ax.get_images()[1].get_array(), heat)
        assert ax.get_images()[1].get_extent() == [-0.5, 7.5, len(image) - 0.5, -0.5]
        assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 7.5), (len(image) - 0.5, -0.5))
    axes[0].figure.canvas.draw()


@pytest.mark.parametrize("heat", [np.zeros((6, 8)), np.ones((6, 8)), np.linspace(0, 1, 8)[None]])
def test_heat_that_has_no_outline_is_drawn_without(heat, ax):
    image_grid([IMAGE], heat=[heat], ax=ax)
    assert len(ax.collections) == 0
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    ("heat", "message"),
    [
        ([HEAT], "there are 1 heat maps and 2 images. Accepted: one for each image."),
        ([HEAT, HEAT[0]], "heat map 1 is not accepted. Accepted: numbers (H, W) from 0 to 1."),
        ([HEAT, HEAT + 0.1], "heat map 1 is not accepted. Accepted: numbers (H, W) from 0 to 1."),
        ([HEAT * np.nan, HEAT], "heat map 0 is not accepted. Accepted: numbers (H, W) from 0 to 1."),
    ],
)
def test_what_is_no_heat_is_refused_in_words(heat, message):
    with pytest.raises(ConfigurationError) as caught:
        image_grid([IMAGE] * 2, heat=heat)
    assert str(caught.value) == message
    assert plt.get_fignums() == []
