"""An explanation is a heat map with its image, by the names of classes."""

import numpy as np
import pytest
from drawn_squares import COLORS

from imgcls import ConfigurationError, Dataset, ImageClassifier, architectures
from imgcls.explain import METHODS, Explanation, deletion_score, explanation, heat_map


def explained(learnt, pixels, image=None, **options):
    arguments = {"image": pixels if image is None else image, "classes": learnt.classes_.tolist(), "label": "red"}
    return explanation(learnt.model_, pixels, **{**arguments, **options})


def test_names_stand_for_positions(learnt, unseen):
    pixels = unseen[0][0]
    found = explained(learnt, pixels, id="a.jpg")
    assert (found.label, found.instead_of, found.method, found.id) == ("red", None, "grad_cam", "a.jpg")
    red, blue = (learnt.classes_.tolist().index(name) for name in ("red", "blue"))
    np.testing.assert_allclose(found.heat, heat_map(learnt.model_, pixels[None], target=red)[0], rtol=0, atol=1e-6)
    other = explained(learnt, pixels, label="blue", instead_of="red", method="occlusion")
    expected = heat_map(learnt.model_, pixels[None], target=blue, instead_of=red, method="occlusion")
    np.testing.assert_allclose(other.heat, expected[0], rtol=0, atol=1e-6)
    assert (other.instead_of, other.method) == ("red", "occlusion")


def test_heat_has_the_size_of_the_image(learnt, unseen):
    images, codes, _ = unseen
    pixels, label = images[0], list(COLORS)[codes[0]]
    model_size = explained(learnt, pixels, label=label).heat
    larger = explained(learnt, pixels, pixels.repeat(3, axis=0).repeat(2, axis=1), label=label)
    assert larger.heat.shape == (144, 96)
    assert larger.heat.dtype == np.float32
    assert (larger.heat.min() >= 0, larger.heat.max()) == (True, 1)
    y, x = np.unravel_index(larger.heat.argmax(), larger.heat.shape)
    assert model_size[y // 3, x // 2] > 0.98
    smaller = explained(learnt, pixels, pixels[::4, ::4], label=label).heat
    inner = slice(1, -1)  # at the edges, a filter has fewer pixels to average
    means = model_size.reshape(12, 4, 12, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(smaller[inner, inner], (means / means.max())[inner, inner], rtol=0, atol=0.1)
    assert smaller.max() == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_single_class_is_explained_and_not_its_absence(method):
    model = architectures.build("small_cnn", input_shape=(32, 32, 1), num_classes=1, head="sigmoid")
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 1)).astype(np.uint8)
    found = explanation(model, image, image=image, classes=["square"], label="square", method=method).heat
    there, absent = (heat_map(model, image[None], target=target, method=method)[0] for target in (1, 0))
    np.testing.assert_allclose(found, there, rtol=0, atol=1e-6)
    assert np.abs(there - absent).max() > 0.5


def test_of_one_class_the_square_is_what_speaks_for_the_square():
    """In `explain`, on the page of an evaluation, and as `deletion_score` measures it."""
    random = np.random.default_rng(0)
    images = random.integers(0, 60, (80, 24, 24, 1)).astype(np.uint8)
    there = random.permutation(np.arange(80) % 2 == 0)
    images[there, 4:12, 4:12] = 250
    data = Dataset.from_arrays(images, there[:, None].astype(np.uint8), classes=["square"], multi_label=True)
    classifier = ImageClassifier("small_cnn", image_size=24, epochs=6, augmentation=None, batch_size=8, seed=0)
    classifier.fit(data, verbose=0)
    place = int(there.argmax())
    inside = np.zeros((24, 24), bool)
    inside[2:14, 2:14] = True
    occluded = classifier.explain(images[place], "square", method="occlusion").heat
    for heat in (occluded, classifier.explain(images[place]).heat, classifier.evaluate(data)._explain([place])[0]):
        assert heat[inside].mean() > 2 * heat[~inside].mean()
    hottest_last = deletion_score(classifier.predict_proba, images[place], -occluded, 1)
    assert deletion_score(classifier.predict_proba, images[place], occluded, 1) < hottest_last


def test_it_prints_and_draws_itself():
    image = np.zeros((4, 6, 3), np.uint8)
    heat = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
    alone = Explanation(heat, image, "daisy", id="a.jpg")
    against = Explanation(heat, image, 7, instead_of=1)
    assert (str(alone), str(against)) == ("daisy", "7, and not 1")
    assert repr(alone) == "Explanation(label='daisy', instead_of=None, method='grad_cam', id='a.jpg')"
    drawn = against.show()
    assert drawn.get_title() == "7, and not 1"
    np.testing.assert_array_equal(drawn.get_images()[0].get_array(), image)
    np.testing.assert_array_equal(drawn.get_images()[1].get_array(), heat)
    assert alone.show(ax=drawn) is drawn


def test_refusals(learnt, unseen):
    with pytest.raises(ConfigurationError) as refusal:
        explained(learnt, unseen[0][0], label="reed", instead_of="green", method="lime")
    assert str(refusal.value) == (
        "3 arguments are wrong:\n- label='reed' is not known. Did you mean 'red'? Accepted: blue, red.\n- instead_of='green' is not known. Accepted: blue, red.\n- method='lime' is not known. Accepted: grad_cam, occlusion."
    )
    with pytest.raises(ConfigurationError) as refusal:
        explained(learnt, unseen[0][0], instead_of="red")
    assert str(refusal.value) == "instead_of='red' is the class that is explained. Give another one, or None."
