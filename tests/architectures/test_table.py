"""The table's figures are those of papers and pages, and are counted as by hand; the battery counts every row again."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from imgcls import ConfigurationError, architectures

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "architectures.md"


def rounded(number):
    """Write a count with three digits: 2.26 M."""
    digits = float(f"{number:.3g}")
    factor, unit = next((factor, unit) for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")) if digits >= factor)
    return f"{digits / factor:.{2 if digits / factor < 10 else 1 if digits / factor < 100 else 0}f}{unit}"


def line(row):
    """Return what the reference says about an architecture."""
    cells = (
        f"`{row.name}`",
        row.summary,
        row.image_size or "the data\u2019s",
        row.least_size,
        row.width,
        rounded(row.parameters),
        rounded(row.multiply_adds),
        "yes" if row.pretrained else "no",
    )
    return f"| {' | '.join(map(str, cells))} |"


def test_the_page_has_the_figures_of_the_table():
    lines = [row for row in PAGE.read_text(encoding="utf-8").splitlines() if row.startswith("| `")]
    assert lines == [line(architectures.describe(name)) for name in architectures.names()]


@pytest.mark.parametrize(
    ("number", "text"), [(23_920, "23.9 k"), (2_257_984, "2.26 M"), (999_600, "1.00 M"), (15_346_630_656, "15.3 G")]
)
def test_rounding(number, text):
    assert rounded(number) == text


@pytest.mark.parametrize(
    ("name", "millions", "tolerance", "source"),
    [
        ("mobilenet", 569, 0.01, "arXiv 1704.04861, table 4; with the classifier's 1 M"),
        ("mobilenet_v2", 300, 0.01, "CVPR 2018, table 4; with the classifier's 1.3 M"),
        ("mobilenet_v3_large", 219, 0.03, "ICCV 2019, table 3; with 2.5 M of the top's two layers"),
        ("efficientnet_b0", 390, 0.02, "ICML 2019, table 2; with the classifier"),
        ("resnet50", 3800, 0.02, "CVPR 2016, table 1: stride in the first 1x1 convolution, as Keras has it"),
        ("resnet152", 11300, 0.01, "CVPR 2016, table 1"),
        ("vgg16", 15470, 0.01, "as commonly counted; with the top's 124 M"),
        ("convnext_tiny", 4500, 0.02, "CVPR 2022, table 1"),
    ],
)
def test_figures_are_those_of_the_papers(name, millions, tolerance, source):
    assert architectures.describe(name).multiply_adds / 1e6 == pytest.approx(millions, rel=tolerance), source


def test_every_kind_of_layer_is_counted_by_hand():
    """A convolution in two groups, a depthwise, a separable and a Dense layer on a map, one of them in a nested model."""
    inner = keras.Sequential([keras.Input((None, None, 8)), layers.SeparableConv2D(6, 3, padding="same")])
    model = keras.Sequential(
        [
            keras.Input((9, 7, 4)),
            layers.Conv2D(8, (3, 2), strides=2, groups=2),  # 4 x 3 places
            layers.DepthwiseConv2D(3, padding="same", depth_multiplier=1),
            inner,
            layers.Dense(5),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )
    places = 4 * 3
    convolution, depthwise, separable, dense = 3 * 2 * 2 * 8, 3 * 3 * 8, 3 * 3 * 8 + 8 * 6, 6 * 5
    assert architectures.measure(model).multiply_adds == places * (convolution + depthwise + separable + dense) + 5 * 3
    assert architectures.measure(model).parameters == sum(array.size for array in model.get_weights())
    assert model(np.zeros((1, 9, 7, 4))).shape == (1, 3)  # and the model is as it was


def test_work_without_a_size_is_not_guessed():
    model = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 3)])
    with pytest.raises(ConfigurationError) as refusal:
        architectures.measure(model)
    assert str(refusal.value) == (
        "the model takes images of any size, (None, None, None, 3), and its work depends on it. Build it for one size first."
    )
    whole = architectures.build(model, input_shape=(5, 5, 3), num_classes=2)
    assert architectures.measure(whole).multiply_adds == 3 * 3 * (3 * 3 * 3 * 2) + 2 * 2


def test_weights_files_are_named_for_the_nearest_size():
    row = architectures.describe("mobilenet_v2")
    assert [row.weights_side(side) for side in (32, 100, 150, 400)] == [96, 96, 160, 224]
    assert architectures.describe("xception").weights_side(71) == 299
    assert re.fullmatch(r"mobilenet_v2_\w+_1\.0_\{size\}_no_top\.h5", row.weights_file)
