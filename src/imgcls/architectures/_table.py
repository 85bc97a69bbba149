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
        width: D, the number of features for one image with "average" or "max" pooling.
        parameters: Numbers in its weights, without head.
        multiply_adds: For one image of `image_size`, or 32 pixels where that is None; see `measure`.
        image_size: The side in pixels that it was designed for; None for ours, which take the data's size.
        least_size: The smallest side it takes.
        builder: The function in `keras.applications`; None for ours.
        scaling: What its authors feed it: "tf" (to [-1, 1]), "torch" (ImageNet mean and deviation), "caffe" (BGR,
            mean subtracted) or "inside" (pixels 0-255, scaled by its own first layers).
        options: Further arguments of the builder.
        weights_file: The file that Keras downloads for "imagenet", with "{size}" where there are several; None where
            there is none.
        weights_sizes: The image sizes of these.
        quick: Whether it is made to learn in few passes: `whiten` prepares it, and training has a recipe for it.
        bfloat16: Whether a processor that has bfloat16 trains it in less than 0.85 of the time, as in
            `benchmarks/precision.py`. Broad convolutions gain; narrow ones, and those of one channel each, do not.

    Examples:
        >>> from imgcls import architectures
        >>> row = architectures.describe("mobilenet")
        >>> row.summary, row.width, row.image_size
        ('MobileNet (Howard et al., arXiv 1704.04861)', 1024, 224)
        >>> row.pretrained, row.weights_side(100), row.weights_side(500)  # the nearest of 128, 160, 192 and 224
        (True, 128, 224)
        >>> [name for name in architectures.names() if architectures.describe(name).quick]
        ['speed_cnn', 'speed_cnn_narrow', 'speed_cnn_wide']
    """

    name: str
    summary: str
    width: int
    parameters: int
    multiply_adds: int
    image_size: int | None = None
    least_size: int = 32
    builder: str | None = None
    scaling: str = "inside"
    options: Mapping[str, Any] = field(default_factory=dict)
    weights_file: str | None = None
    weights_sizes: tuple[int, ...] = ()
    quick: bool = False
    bfloat16: bool = False

    @property
    def pretrained(self) -> bool:
        """Whether weights trained on ImageNet exist."""
        return self.weights_file is not None

    def weights_side(self, side: int) -> int:
        """Return the image size of the ImageNet weights that suit images of `side` pixels: the nearest there is."""
        sizes = self.weights_sizes or (self.image_size or side,)
        return min(sizes, key=lambda size: abs(size - side))


def _quick(
    name: str, summary: str, parameters: int, multiply_adds: int, *, filters: tuple[int, ...], **more: Any
) -> Architecture:
    more |= {"options": {"filters": filters}, "quick": True}
    return Architecture(name, summary, filters[-1], parameters, multiply_adds, None, 9, **more)


def _rows(
    family: str,
    scaling: str,
    source: str,
    weights_file: str,
    *members: tuple[str, str, int, int, int, int],
    **common: Any,
) -> list[Architecture]:
    """Return rows of one family, each given by name, builder, image size, width, parameters and multiply-adds."""
    return [
        Architecture(
            name,
            f"{family} ({source})",
            width,
            parameters,
            multiply_adds,
            size,
            builder=builder,
            scaling=scaling,
            weights_file=_file_name(weights_file, name, builder),
            **common,
        )
        for name, builder, size, width, parameters, multiply_adds in members
    ]


def _file_name(pattern: str, name: str, builder: str) -> str:
    variant = name.rsplit("_", 1)[-1]
    return pattern.format(name=name, builder=builder.lower(), variant=variant, size="{size}")


_SCALED_OUTSIDE = {"include_preprocessing": False}  # by layers in front: what is inside is for three channels only
# Widths, parameters and multiply-adds are those that `measure` counts; a test counts again.
_ROWS = [
    Architecture(
        "small_cnn",
        "the textbook CNN: three blocks of convolution, pooling, normalisation",
        64,
        23_920,
        2_801_664,
        least_size=8,
    ),
    Architecture(
        "small_resnet",
        "a residual network of four blocks (He et al., CVPR 2016)",
        256,
        1_229_280,
        63_799_296,
        least_size=8,
        bfloat16=True,
    ),
    _quick(
        "speed_cnn",
        "whitening and three groups, to learn in few passes (Jordan, arXiv 2404.00498)",
        294_264,
        19_886_112,
        filters=(32, 64, 128),
    ),
    _quick(
        "speed_cnn_narrow", "speed_cnn, half its width: for digits and letters", 75_864, 6_839_712, filters=(16, 32, 64)
    ),
    _quick(
        "speed_cnn_wide",
        "speed_cnn in the width of its source, six times the work",
        1_971_384,
        118_144_800,
        filters=(64, 256, 256),
        bfloat16=True,
    ),
    *_rows(
        "MobileNet",
        "tf",
        "Howard et al., arXiv 1704.04861",
        "mobilenet_1_0_{size}_tf_no_top.h5",
        ("mobilenet", "MobileNet", 224, 1024, 3_228_864, 567_716_352),
        weights_sizes=(128, 160, 192, 224),
    ),
    *_rows(
        "MobileNet, a quarter of its width",
        "tf",
        "Howard et al., arXiv 1704.04861",
        "mobilenet_2_5_{size}_tf_no_top.h5",
        ("mobilenet_025", "MobileNet", 128, 256, 218_544, 13_314_048),
        weights_sizes=(128, 160, 192, 224),
        options={"alpha": 0.25},
    ),
    *_rows(
        "MobileNetV2",
        "tf",
        "Sandler et al., CVPR 2018",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{size}_no_top.h5",
        ("mobilenet_v2", "MobileNetV2", 224, 1280, 2_257_984, 299_494_272),
        weights_sizes=(96, 128, 160, 192, 224),
    ),
    *_rows(
        "MobileNetV2, 0.35 of its width",
        "tf",
        "Sandler et al., CVPR 2018",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_{size}_no_top.h5",
        ("mobilenet_v2_035", "MobileNetV2", 224, 1280, 410_208, 58_005_808),
        weights_sizes=(96, 128, 160, 192, 224),
        options={"alpha": 0.35},
    ),
    *_rows(
        "MobileNetV3",
        "inside",
        "Howard et al., ICCV 2019",
        "weights_mobilenet_v3_{variant}_224_1.0_float_no_top_v2.h5",
        ("mobilenet_v3_small", "MobileNetV3Small", 224, 576, 939_120, 54_896_576),
        ("mobilenet_v3_large", "MobileNetV3Large", 224, 960, 2_996_352, 214_080_960),
    ),
    *_rows(
        "EfficientNet",
        "inside",
        "Tan and Le, ICML 2019",
        "efficientnet{variant}_notop.h5",
        ("efficientnet_b0", "EfficientNetB0", 224, 1280, 4_049_571, 384_534_752),
        ("efficientnet_b1", "EfficientNetB1", 240, 1280, 6_575_239, 685_522_832),
        ("efficientnet_b2", "EfficientNetB2", 260, 1408, 7_768_569, 992_153_872),
        ("efficientnet_b3", "EfficientNetB3", 300, 1536, 10_783_535, 1_825_605_392),
        ("efficientnet_b4", "EfficientNetB4", 380, 1792, 17_673_823, 4_391_979_024),
        ("efficientnet_b5", "EfficientNetB5", 456, 2048, 28_513_527, 10_264_336_752),
        ("efficientnet_b6", "EfficientNetB6", 528, 2304, 40_960_143, 19_065_289_536),
        ("efficientnet_b7", "EfficientNetB7", 600, 2560, 64_097_687, 37_743_324_192),
    ),
    *_rows(
        "EfficientNetV2",
        "torch",
        "Tan and Le, ICML 2021",
        "efficientnetv2-{variant}_notop.h5",
        ("efficientnet_v2_b0", "EfficientNetV2B0", 224, 1280, 5_919_312, 716_806_176),
        ("efficientnet_v2_b1", "EfficientNetV2B1", 240, 1280, 6_931_124, 1_195_539_360),
        ("efficientnet_v2_b2", "EfficientNetV2B2", 260, 1408, 8_769_374, 1_696_134_832),
        ("efficientnet_v2_b3", "EfficientNetV2B3", 300, 1536, 12_930_622, 3_009_922_816),
        options=_SCALED_OUTSIDE,
    ),
    *_rows(
        "EfficientNetV2",
        "inside",
        "Tan and Le, ICML 2021",
        "efficientnetv2-{variant}_notop.h5",
        ("efficientnet_v2_s", "EfficientNetV2S", 384, 1280, 20_331_360, 8_364_337_152),
        ("efficientnet_v2_m", "EfficientNetV2M", 480, 1280, 53_150_388, 24_581_180_384),
        ("efficientnet_v2_l", "EfficientNetV2L", 480, 1280, 117_746_848, 56_078_419_008),
    ),
    *_rows(
        "ResNet",
        "caffe",
        "He et al., CVPR 2016",
        "{builder}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ("resnet50", "ResNet50", 224, 2048, 23_587_712, 3_855_925_248),
        ("resnet101", "ResNet101", 224, 2048, 42_658_176, 7_568_146_432),
        ("resnet152", "ResNet152", 224, 2048, 58_370_944, 11_280_367_616),
        bfloat16=True,
    ),
    *_rows(
        "ResNetV2",
        "tf",
        "He et al., ECCV 2016",
        "{builder}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ("resnet50_v2", "ResNet50V2", 224, 2048, 23_564_800, 3_480_207_360),
        ("resnet101_v2", "ResNet101V2", 224, 2048, 42_626_560, 7_192_428_544),
        ("resnet152_v2", "ResNet152V2", 224, 2048, 58_331_648, 10_904_649_728),
        bfloat16=True,
    ),
    *_rows(
        "DenseNet",
        "torch",
        "Huang et al., CVPR 2017",
        "{builder}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ("densenet121", "DenseNet121", 224, 1024, 7_037_504, 2_833_137_664),
        ("densenet169", "DenseNet169", 224, 1664, 12_642_880, 3_358_179_328),
        ("densenet201", "DenseNet201", 224, 1920, 18_321_984, 4_289_445_888),
        bfloat16=True,
    ),
    *_rows(
        "ConvNeXt",
        "torch",
        "Liu et al., CVPR 2022",
        "{name}_notop.h5",
        ("convnext_tiny", "ConvNeXtTiny", 224, 768, 27_820_128, 4_454_763_264),
        ("convnext_small", "ConvNeXtSmall", 224, 768, 49_454_688, 8_682_944_256),
        ("convnext_base", "ConvNeXtBase", 224, 1024, 87_566_464, 15_353_705_472),
        ("convnext_large", "ConvNeXtLarge", 224, 1536, 196_230_336, 34_359_897_600),
        ("convnext_xlarge", "ConvNeXtXLarge", 224, 2048, 348_147_968, 60_918_982_656),
        options=_SCALED_OUTSIDE,
    ),
    *_rows(
        "Xception",
        "tf",
        "Chollet, CVPR 2017",
        "{name}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ("xception", "Xception", 299, 2048, 20_861_480, 8_355_355_496),
        least_size=71,
    ),
    *_rows(
        "Inception",
        "tf",
        "Szegedy et al., CVPR 2016",
        "{name}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ("inception_v3", "InceptionV3", 299, 2048, 21_802_784, 5_711_168_096),
        bfloat16=True,
        least_size=75,
    ),
    *_rows(
        "Inception-ResNet",
        "tf",
        "Szegedy et al., AAAI 2017",
        "{name}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ("inception_resnet_v2", "InceptionResNetV2", 299, 1536, 54_336_736, 13_154_258_016),
        least_size=75,
    ),
    *_rows(
        "NASNet",
        "tf",
        "Zoph et al., CVPR 2018",
        "{name}_no_top.h5",
        ("nasnet_mobile", "NASNetMobile", 224, 1056, 4_269_716, 562_582_816),
        ("nasnet_large", "NASNetLarge", 331, 4032, 84_916_818, 23_779_382_658),
    ),
    *_rows(
        "VGG",
        "caffe",
        "Simonyan and Zisserman, ICLR 2015",
        "{name}_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ("vgg16", "VGG16", 224, 512, 14_714_688, 15_346_630_656),
        ("vgg19", "VGG19", 224, 512, 20_024_384, 19_508_428_800),
        bfloat16=True,
    ),
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
        >>> row.width, row.parameters, row.multiply_adds
        (1280, 2257984, 299494272)
    """
    _checks.refuse([_checks.unknown_name("architecture", name, names())])
    return _TABLE[name]
