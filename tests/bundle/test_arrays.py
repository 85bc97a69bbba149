"""The arrays: every byte in its place, every array known, every number possible."""

import struct

import forging
import numpy as np
import pytest
from refusals import cause

from imgcls import bundle
from imgcls.errors import BundleError

# --- arrays ----------------------------------------------------------------------------------------------------------

ENTRY = "is not described as accepted: a dtype of 'U64', 'I64', 'F64' and 9 more, at most 8 sides above 0, and a place in the file of as many bytes"


def entry(name="0000", **changes):
    return lambda header: header[name].update(changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (entry(dtype="X9"), f"the array '0000' {ENTRY}"),
        (entry(dtype=["F32"]), f"the array '0000' {ENTRY}"),
        (entry(shape=[2**40]), f"the array '0000' {ENTRY}"),
        (entry(shape=[-2, -3]), f"the array '0000' {ENTRY}"),
        (entry(shape=[2, 3, 0]), f"the array '0000' {ENTRY}"),
        (entry(shape=[2, 3.0]), f"the array '0000' {ENTRY}"),
        (entry(shape=[True, 6]), f"the array '0000' {ENTRY}"),
        (entry(shape=[1] * 8 + [6]), f"the array '0000' {ENTRY}"),
        (entry(data_offsets=[0, 2**60]), f"the array '0000' {ENTRY}"),
        (entry(data_offsets=[24, 0]), f"the array '0000' {ENTRY}"),
        (entry(data_offsets=[-24, 0]), f"the array '0000' {ENTRY}"),
        (entry(more=1), f"the array '0000' {ENTRY}"),
        (entry(data_offsets=[8, 32]), "the array '0000' begins at byte 8, and 0 is where the one before it ends"),
        (lambda header: header.update({"__metadata__": {"a": "b"}}), f"the array '__metadata__' {ENTRY}"),
        (lambda header: header.update({"0003": header["0000"]}), "the array '0003' begins at byte 0, and 24 is where the one before it ends"),
        (lambda header: header.pop("0002"), "the array 'golden/probabilities' begins at byte 28, and 24 is where the one before it ends"),
        (lambda header: header.pop("golden/images"), "its arrays end at byte 48 of 168"),
        (lambda header: header.update({"0005": header.pop("0002")}), "the weight '0002' is missing"),
        (lambda header: header.update({"../a": header.pop("0002")}), "there is no array '../a' in a bundle; accepted: weights, and golden/images, "),
    ],
)  # a row a case # fmt: skip
def test_a_header_of_arrays_that_is_wrong_is_refused_in_words(tiny, change, words):
    assert cause(forging.reheaded(tiny, change)).startswith(words)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (b"", "the header of its weights is longer than they are"),
        (struct.pack("<Q", 2**60), "the header of its weights is longer than they are"),
        (struct.pack("<Q", 2) + b"{}", "the arrays 'golden/images' and 'golden/probabilities' are missing"),
        (struct.pack("<Q", 2) + b"{}" + b"\0", "its arrays end at byte 0 of 1"),
        (struct.pack("<Q", 4) + b"null", "JSON holds no object"),
        (struct.pack("<Q", 14) + b'{"a":1, "a":1}', "JSON names the key 'a' twice"),
    ],
)
def test_weights_that_are_none_are_refused_in_words(tiny, tensors, words):
    assert cause(forging.changed(tiny, weights_safetensors=tensors)) == words


def put(name, array):
    return lambda arrays: arrays.update({name: np.asarray(array)})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("0000", np.array([np.nan], np.float32)), "the weight '0000' holds NaN or infinity; accepted: finite numbers"),
        (put("0000", np.array([np.inf], np.float32)), "the weight '0000' holds NaN or infinity; accepted: finite numbers"),
        (put("0000", np.zeros(1)), "the weight '0000' is float64; accepted: float32, int32"),
        (put("golden/images", np.zeros((2, 4, 5, 3), np.float32)), "the array 'golden/images' is float32 (2, 4, 5, 3); accepted: uint8 (g, 4, 5, 3)"),
        (put("golden/images", np.zeros((2, 5, 4, 3), np.uint8)), "the array 'golden/images' is uint8 (2, 5, 4, 3); accepted: uint8 (g, 4, 5, 3)"),
        (put("golden/images", np.zeros((17, 4, 5, 3), np.uint8)), "the array 'golden/images' is uint8 (17, 4, 5, 3); accepted: uint8 (g, 4, 5, 3)"),
        (put("golden/probabilities", np.full((2, 2), 1.5, np.float32)), "the array 'golden/probabilities' holds numbers from 1.5 to 1.5; accepted: 0 to 1"),
        (put("golden/probabilities", np.full((2, 3), 0.5, np.float32)), "the array 'golden/probabilities' is float32 (2, 3); accepted: float32 (2, 2)"),
        (put("held_out/labels", np.array([0, 1, 2])), "the array 'held_out/labels' holds numbers from 0 to 2; accepted: 0 to 1"),
        (put("held_out/labels", np.array([0, -1, 1])), "the array 'held_out/labels' holds numbers from -1 to 1; accepted: 0 to 1"),
        (put("held_out/labels", np.array([0, 1])), "the array 'held_out/probabilities' is float32 (3, 2); accepted: float32 (2, 2)"),
        (put("familiarity/distances", np.array([1, 0, 2], np.float32)), "the array 'familiarity/distances' does not rise; accepted: numbers in their order"),
        (put("familiarity/known", np.full((2, 3), np.inf, np.float16)), "the array 'familiarity/known' holds NaN or infinity; accepted: finite numbers"),
        (put("training/contents", np.zeros((100_001, 16), np.uint8)), "the array 'training/contents' is uint8 (100001, 16); accepted: uint8 (n, 16)"),
        (put("other/things", np.zeros(2)), "there is no array 'other/things' in a bundle; accepted: weights, and golden/images, "),
        (lambda arrays: arrays.pop("held_out/labels"), "the arrays held_out/labels, held_out/probabilities belong together, and only held_out/probabilities is there"),
        (lambda arrays: [arrays.pop(f"held_out/{name}") for name in ("labels", "probabilities")], "the array 'familiarity/known' rests on 'held_out/labels', which is missing"),
        (lambda arrays: [arrays.pop(f"golden/{name}") for name in ("images", "probabilities")], "the arrays 'golden/images' and 'golden/probabilities' are missing"),
    ],
)  # a row a case # fmt: skip
def test_arrays_that_make_no_sense_are_refused_in_words(full, change, words):
    assert words in cause(forging.rearranged(full, change))


def test_several_labels_an_image_are_an_indicator(here):
    blueprint = forging.description()["blueprint"] | {"head": "sigmoid"}
    several = forging.description(multi_label=True, blueprint=blueprint)
    labels = np.array([[0, 1], [1, 1], [0, 0]], np.uint8)
    path = bundle.save("a.imgcls", several, forging.weights(), forging.named(held_out__labels=labels))
    np.testing.assert_array_equal(bundle.load(path).named["held_out/labels"], labels)
    with pytest.raises(BundleError, match=r"'held_out/labels' is int64 \(3,\); accepted: uint8 \(h, 2\)"):
        bundle.save("a.imgcls", several, forging.weights(), forging.named())
