"""Backbones of KerasHub, which is an extra: accepted as any `keras.Model` without a head is."""

import numpy as np
import pytest

from imgcls import ConfigurationError, architectures

hub = pytest.importorskip("keras_hub", reason="needs keras-hub: pip install 'imgcls[hub]'")


def residual(image_shape):
    return hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=image_shape,
    )


@pytest.mark.parametrize("image_shape", [(32, 32, 3), (None, None, 3)])
def test_a_backbone_gets_pooling_and_a_head(image_shape):
    theirs = residual(image_shape)
    model = architectures.build(theirs, input_shape=(32, 32, 3), num_classes=4, mean=(0.0,), std=(255.0,))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    expected = np.asarray(theirs(images / 255)).mean(axis=(1, 2))
    np.testing.assert_allclose(architectures.cut(model)(images), expected, rtol=1e-4, atol=1e-5)
    assert [output.shape for output in architectures.last_feature_map(model).outputs] == [(None, 4, 4, 64), (None, 4)]


def test_tokens_are_no_feature_map():
    transformer = hub.models.ViTBackbone(
        image_shape=(32, 32, 3), patch_size=(8, 8), num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32
    )
    with pytest.raises(ConfigurationError) as refusal:
        architectures.build(transformer, input_shape=(32, 32, 3), num_classes=4)
    assert str(refusal.value).startswith("the model takes (None, 32, 32, 3) and gives (None, 17, 16). Accepted for ")
