"""The table of architectures: what varies between them is a row, not code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imgcls import _checks


@dataclass(frozen=True, slots=True)
class Architecture:
    """One row of the table.

    Attributes:
        name: What you write.
        summary: What it is, in one line.
        image_size: The side in pixels that it was designed for; None for ours, which take the data's size.
        least_size: The smallest side it takes.
        pretrained: Whether weights trained on ImageNet exist.
        builder: The function in `keras.applications`; None for ours.
        scaling: What its authors feed it: "tf" (to [-1, 1]), "torch" (ImageNet mean and deviation), "caffe" (BGR,
            mean subtracted) or "inside" (pixels 0-255, scaled by its own first layers).
        options: Further arguments of the builder.
        quick: Whether it is made to learn in few passes: `whiten` prepares it, and training has a recipe for it.
    """

    name: str
    summary: str
    image_size: int | None = None
    least_size: int = 32
    pretrained: bool = True
    builder: str | None = None
    scaling: str = "inside"
    options: Mapping[str, Any] = field(default_factory=dict)
    quick: bool = False


def _quick(name: str, summary: str, *filters: int) -> Architecture:
    return Architecture(name, summary, None, 9, False, options={"filters": filters}, quick=True)


def _rows(
    family: str, scaling: str, source: str, *members: tuple[str, str, int], least_size: int = 32
) -> list[Architecture]:
    return [
        Architecture(name, f"{family} ({source})", size, least_size, builder=builder, scaling=scaling)
        for name, builder, size in members
    ]


_EFFICIENTNET_SIZES = (224, 240, 260, 300, 380, 456, 528, 600)
_ROWS = [
    Architecture("small_cnn", "the textbook CNN: three blocks of convolution, pooling, normalisation", None, 8, False),
    Architecture("small_resnet", "a residual network of four blocks (He et al., CVPR 2016)", None, 8, False),
    _quick("speed_cnn", "whitening and three groups, to learn in few passes (Jordan, arXiv 2404.00498)", 32, 64, 128),
    _quick("speed_cnn_narrow", "speed_cnn, half its width: for digits and letters", 16, 32, 64),
    _quick("speed_cnn_wide", "speed_cnn in the width of its source, six times the work", 64, 256, 256),
    *_rows("MobileNet", "tf", "Howard et al., arXiv 1704.04861", ("mobilenet", "MobileNet", 224)),
    Architecture(
        "mobilenet_025",
        "MobileNet, a quarter of its width",
        128,
        builder="MobileNet",
        scaling="tf",
        options={"alpha": 0.25},
    ),
    *_rows("MobileNetV2", "tf", "Sandler et al., CVPR 2018", ("mobilenet_v2", "MobileNetV2", 224)),
    Architecture(
        "mobilenet_v2_035",
        "MobileNetV2, 0.35 of its width",
        224,
        builder="MobileNetV2",
        scaling="tf",
        options={"alpha": 0.35},
    ),
    *_rows(
        "MobileNetV3",
        "inside",
        "Howard et al., ICCV 2019",
        ("mobilenet_v3_small", "MobileNetV3Small", 224),
        ("mobilenet_v3_large", "MobileNetV3Large", 224),
    ),
    *_rows(
        "EfficientNet",
        "inside",
        "Tan and Le, ICML 2019",
        *((f"efficientnet_b{n}", f"EfficientNetB{n}", size) for n, size in enumerate(_EFFICIENTNET_SIZES)),
    ),
    *_rows(
        "EfficientNetV2",
        "inside",
        "Tan and Le, ICML 2021",
        *((f"efficientnet_v2_b{n}", f"EfficientNetV2B{n}", size) for n, size in enumerate(_EFFICIENTNET_SIZES[:4])),
        ("efficientnet_v2_s", "EfficientNetV2S", 384),
        ("efficientnet_v2_m", "EfficientNetV2M", 480),
        ("efficientnet_v2_l", "EfficientNetV2L", 480),
    ),
    *_rows(
        "ResNet",
        "caffe",
        "He et al., CVPR 2016",
        *((f"resnet{depth}", f"ResNet{depth}", 224) for depth in (50, 101, 152)),
    ),
    *_rows(
        "ResNetV2",
        "tf",
        "He et al., ECCV 2016",
        *((f"resnet{depth}_v2", f"ResNet{depth}V2", 224) for depth in (50, 101, 152)),
    ),
    *_rows(
        "DenseNet",
        "torch",
        "Huang et al., CVPR 2017",
        *((f"densenet{depth}", f"DenseNet{depth}", 224) for depth in (121, 169, 201)),
    ),
    *_rows(
        "ConvNeXt",
        "inside",
        "Liu et al., CVPR 2022",
        *(
            (f"convnext_{size.lower()}", f"ConvNeXt{size}", 224)
            for size in ("Tiny", "Small", "Base", "Large", "XLarge")
        ),
    ),
    *_rows("Xception", "tf", "Chollet, CVPR 2017", ("xception", "Xception", 299), least_size=71),
    *_rows("Inception", "tf", "Szegedy et al., CVPR 2016", ("inception_v3", "InceptionV3", 299), least_size=75),
    *_rows(
        "Inception-ResNet",
        "tf",
        "Szegedy et al., AAAI 2017",
        ("inception_resnet_v2", "InceptionResNetV2", 299),
        least_size=75,
    ),
    *_rows(
        "NASNet",
        "tf",
        "Zoph et al., CVPR 2018",
        ("nasnet_mobile", "NASNetMobile", 224),
        ("nasnet_large", "NASNetLarge", 331),
    ),
    *_rows("VGG", "caffe", "Simonyan and Zisserman, ICLR 2015", ("vgg16", "VGG16", 224), ("vgg19", "VGG19", 224)),
]
_TABLE = {row.name: row for row in _ROWS}


def names() -> tuple[str, ...]:
    """Return the names of all architectures, ours first.

    Examples:
        >>> from imgcls import architectures
        >>> architectures.names()[:3]
        ('small_cnn', 'small_resnet', 'speed_cnn')
    """
    return tuple(_TABLE)


def describe(name: str) -> Architecture:
    """Return the row of an architecture.

    Raises:
        ConfigurationError: The name is not known; the message gives the nearest.

    Examples:
        >>> from imgcls import architectures
        >>> row = architectures.describe("mobilenet_v2")
        >>> row.summary, row.image_size
        ('MobileNetV2 (Sandler et al., CVPR 2018)', 224)
    """
    _checks.refuse([_checks.unknown_name("architecture", name, names())])
    return _TABLE[name]
