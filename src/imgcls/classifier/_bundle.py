"""What a classifier gives a bundle beside its description, and what it becomes again from one.

A model is built from a file only when its size is known to be that of the file: a few bytes that name the largest
network, or a million classes, are refused before anything is built.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, architectures, bundle
from imgcls.datasets import Dataset, Traces, as_dataset, copies_in
from imgcls.errors import BundleError

# A network that takes C channels in place of three has other first kernels: at most so many numbers more or less for
# each channel. The largest of the table is ConvNeXtXLarge's, 4 x 4 x 256; speed_cnn has two that follow.
_OF_A_CHANNEL = 8_192
_TRACES = ("contents", "pixels", "hashes", "mosaics")


@final
@dataclass(frozen=True, slots=True)
class Golden:
    """Golden images with what the classifier gives for them.

    Attributes:
        images: `uint8 (g, H, W, C)`, of the model's size.
        probabilities: `float32 (g, K)`.
        source: "drawn", or "given" where they are the user's own.
    """

    images: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    source: str

    @classmethod
    def of(cls, model: Any, num_classes: int, given: Any = None) -> Self:
        """Run golden images: those that are given, at most 16, or else drawn ones."""
        shape = model.input_shape[1:]
        pixels = bundle.golden_images(shape) if given is None else _pixels(as_dataset(given, labelled=False), shape)
        return cls(pixels, _probabilities(model, pixels, num_classes), "drawn" if given is None else "given")

    def again(self, model: Any, num_classes: int) -> Self:
        """Run the same images through a model that Keras may have trained further."""
        return replace(self, probabilities=_probabilities(model, self.images, num_classes))

    def verified(
        self, found: NDArray[np.float32], *, multi_label: bool, thresholds: Sequence[float | None] | None
    ) -> bundle.Verification:
        """Compare with what the classifier gives now, and what it says of it."""
        alike = None
        if self.source == "drawn":
            alike = bool(np.array_equal(bundle.golden_images(self.images.shape[1:]), self.images))
        return bundle.Verification.measured(
            self.probabilities, found, multi_label=multi_label, thresholds=thresholds, resized_alike=alike
        )


@final
@dataclass(frozen=True, slots=True)
class Kept:
    """What a bundle holds that a classifier does not need to predict.

    Attributes:
        data: Of "training" and "validation", the number of images and a hash; None where it is not known.
        traces: Of the images that were learnt from; None where they are not known.
        license: What the user says that others may do with it.
        golden: Golden images; None before the classifier was saved.
    """

    data: Mapping[str, Any]
    traces: Traces | None = None
    license: str | None = None
    golden: Golden | None = None

    @classmethod
    def of_data(cls, training: Dataset | None, validation: Dataset | None) -> Self:
        """Look at what was learnt from and validated on."""
        traces = None if training is None else Traces.of(training)
        other = None if validation is None else Traces.of(validation)
        return cls({"training": _split(training, traces), "validation": _split(validation, other)}, traces)

    @classmethod
    def of(cls, contents: bundle.Contents) -> Self:
        """Return what `save` put into a bundle."""
        description, _, named = contents
        golden = Golden(named["golden/images"], named["golden/probabilities"], description["golden"])
        data, traces = description["data"], None
        if "training/contents" in named:
            traces = Traces(
                data["training"]["images"] if data["training"] else len(named["training/contents"]),
                named["training/contents"],
                named["training/pixels"],
                named.get("training/hashes", np.zeros(0, np.uint64)),
                named.get("training/mosaics", np.zeros((0, 4, 4, 3), np.uint8)),
            )
        return cls(data, traces, description["license"], golden)

    def told(self) -> dict[str, Any]:
        """Return what the description of a bundle says of it."""
        source = None if self.golden is None else self.golden.source
        return {"license": self.license, "data": dict(self.data), "golden": source}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a bundle; those without a row are left out."""
        found: dict[str, NDArray[Any]] = {}
        if self.golden is not None:
            found |= {"golden/images": self.golden.images, "golden/probabilities": self.golden.probabilities}
        if self.traces is not None and len(self.traces.contents):
            found |= {f"training/{name}": getattr(self.traces, name) for name in _TRACES}
        return {name: array for name, array in found.items() if len(array)}

    def saved_as(self, model: Any, num_classes: int, *, golden: Any) -> Self:
        """Return what goes into a bundle, with the golden images that are given, that were loaded, or drawn ones."""
        if golden is None and self.golden is not None:
            return replace(self, golden=self.golden.again(model, num_classes))
        return replace(self, golden=Golden.of(model, num_classes, golden))


def of_trust(named: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a bundle that `Trust` has given it."""
    return {name: array for name, array in named.items() if not name.startswith(("golden/", "training/"))}


def copies(training: Dataset | None, kept: Kept | None, dataset: Dataset) -> Callable[[], NDArray[np.int64]] | None:
    """Return what finds the images of a dataset that were learnt from; None where these are not known."""
    if training is not None:
        return partial(copies_in, training, dataset)
    return None if kept is None or kept.traces is None else partial(kept.traces.copies_in, dataset)


def built(contents: bundle.Contents, *, path: str, architecture: Any, trust: bool) -> Any:
    """Build the model of a bundle and give it its weights.

    Args:
        contents: The bundle.
        path: Its name, for messages.
        architecture: What the user says it was made with; None for what the bundle says.
        trust: Whether Keras may build what the bundle's own config says.

    Raises:
        BundleError: It needs `architecture` or `trust`, or is not of the size that it says.
    """
    description, weights, named = contents
    name, blueprint = description["architecture"], description["blueprint"]
    if architecture is None and name is None:
        if not (trust and "keras" in description):
            raise BundleError(_needs_you(path, described="keras" in description))
        model = _from_config(description["keras"], blueprint, path)
    else:
        kind = name if architecture is None else architecture
        if isinstance(kind, str):
            _check_size(kind, blueprint, sum(weight.size for weight in weights))
        model = architectures.build(kind, **blueprint, weights=None)  # a file names no other file
    for variable, weight in zip(model.weights, weights, strict=False):
        needed = _stored(str(variable.dtype))
        if weight.dtype.name != needed:
            message = f"its weight {variable.path!r} is {weight.dtype}, and {needed} is needed"
            raise ValueError(message)
    architectures.set_weights(model, weights)
    head, known = architectures.head_of(model), named.get("familiarity/known")
    if head is not None and known is not None and known.shape[1] != len(head.kernel):
        message = f"the array 'familiarity/known' has {known.shape[1]} features, and the model {len(head.kernel)}"
        raise ValueError(message)
    return model


def weights_of(model: Any) -> list[NDArray[Any]]:
    """Return the weights of a model, of dtypes that a bundle holds.

    Raises:
        BundleError: One is not finite.
    """
    weights = [np.asarray(variable).astype(_stored(str(variable.dtype)), copy=False) for variable in model.weights]
    for variable, weight in zip(model.weights, weights, strict=True):
        if not np.isfinite(weight).all():
            message = (
                f"the weight {variable.path!r} holds NaN or infinity: the model has not learnt, and is not saved. "
                "Fit it again with a lower learning rate."
            )
            raise BundleError(message)
    return weights


def _stored(dtype: str) -> str:
    """Return as what a bundle holds weights: NumPy has no bfloat16, and float32 has each of its numbers."""
    return "float32" if dtype == "bfloat16" else dtype


def config_of(model: Any) -> dict[str, Any] | None:
    """Return Keras' config of a model of the user's own; None where it has none without code, or none at all."""
    import json

    try:
        config: dict[str, Any] = json.loads(model.to_json())
        bundle.check_config(config)
    except Exception:  # noqa: BLE001 - a layer of the user's own may raise anything; `architecture=` remains
        return None
    return None if _holds_code(config) else config


def _holds_code(config: Any) -> bool:
    """Say whether a config holds Python's byte code, as Keras writes it for a lambda."""
    if isinstance(config, dict):
        return config.get("class_name") == "__lambda__" or any(map(_holds_code, config.values()))
    return isinstance(config, list) and any(map(_holds_code, config))


def _from_config(config: Mapping[str, Any], blueprint: Mapping[str, Any], path: str) -> Any:
    """Let Keras build a model. Its config can name any importable thing: the user has said that it may."""
    import json

    import keras

    try:
        model = keras.models.model_from_json(json.dumps(config))
        takes, gives = model.input_shape, model.output_shape
    except Exception as error:
        message = (
            f"Keras cannot build the model of {str(path)!r} from its config: {error}. Import the module that has its "
            "layers first, or give the model itself: ImageClassifier.load(path, architecture=...)."
        )
        raise BundleError(message) from error
    if takes != (None, *blueprint["input_shape"]) or gives != (None, blueprint["num_classes"]):
        message = f"the model takes {takes} and gives {gives}, and its description says otherwise"
        raise ValueError(message)
    return model


def _needs_you(path: str, *, described: bool) -> str:
    config = (
        "If you trust whoever made the file, let Keras build what its config names: ImageClassifier.load(path, "
        "trust=True), or --trust in a shell. Such a config can name code to import and run, and Keras' loading has had "
        "13 known holes."
        if described
        else "It has no config that Keras could build it from either."
    )
    return (
        f"{str(path)!r} was made with an architecture of your own, and a bundle holds no code. "
        f"Give it again: ImageClassifier.load(path, architecture=...). {config}"
    )


def _check_size(name: str, blueprint: Mapping[str, Any], numbers: int) -> None:
    """Refuse weights that are not as many as the architecture takes, before it is built."""
    row, outputs, pooling = architectures.describe(name), blueprint["num_classes"], blueprint["pooling"]
    *_, channels = blueprint["input_shape"]
    taken = 1 if blueprint["grayscale"] else channels
    taken = 3 if row.builder is not None and taken == 1 else taken  # given to the network three times
    apart = _OF_A_CHANNEL * abs(taken - 3)
    features = row.width
    if pooling == "flatten":
        least = row.parameters - apart + (features + 1) * outputs
        if numbers < least:
            raise ValueError(_not_so_many(name, numbers, f"at least {least:,}"))
        model = architectures.build(name, **{**blueprint, "pooling": "average"})  # of known size, to see its map
        features = math.prod(model.get_layer("backbone").output_shape[1:])
    expected = row.parameters + (features + 1) * outputs
    if abs(numbers - expected) > apart:
        raise ValueError(_not_so_many(name, numbers, f"{expected:,}" if not apart else f"about {expected:,}"))


def _not_so_many(name: str, numbers: int, expected: str) -> str:
    return f"its weights hold {numbers:,} numbers, and {name!r} for these images and classes takes {expected}"


def _probabilities(model: Any, pixels: NDArray[np.uint8], num_classes: int) -> NDArray[np.float32]:
    with _backend.in_full_float32():  # another machine may have no other
        outputs = np.asarray(model(pixels.astype(np.float32), training=False), np.float32)
    return architectures.probabilities(outputs, num_classes)


def _pixels(dataset: Dataset, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    height, width, channels = shape
    count = min(len(dataset), bundle.MOST_GOLDEN)
    return np.stack([dataset.read(place, size=(height, width), channels=channels) for place in range(count)])


def _split(dataset: Dataset | None, traces: Traces | None) -> dict[str, Any] | None:
    if dataset is None:
        return None
    return {"images": len(dataset), "sha256": None if traces is None else traces.sha256}
