"""A bundle as plain data and back: what is in the members, checked on both ways.

The order of checks is the order of trust: the seal, the records of the archive, the hashes of the members, the bounds
of the JSON, the schema, the header of the arrays, the arrays against the description. Nothing is built from a part
before all parts are right.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from imgcls import _json
from imgcls._thresholds import Thresholds
from imgcls._version import __version__
from imgcls.bundle import _archive, _arrays, _schema, _tensors
from imgcls.errors import BundleError, ConfigurationError, TamperedBundleError

FORMAT = 1

_MANIFEST, _DESCRIPTION, _WEIGHTS = "manifest.json", "classifier.json", "weights.safetensors"
_BESIDE = {"card": "card.md", "keras": "keras.json"}  # keys of the description that are members of their own
_MOST_CARD = 2**20  # bytes
_MOST_NAMES = 2**24  # characters of all classes, were each as long as the longest: NumPy gives all that room
_ALIGNED = 8  # bytes: arrays begin at a multiple of their own width, so that none has to be copied to be used
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_HALF = re.compile("[\ud800-\udfff]")  # of a character; so Python reads a name that is no UTF-8
_VERSION = re.compile("[0-9][0-9A-Za-z.+_-]{0,40}")
# What a damaged archive, text or array raises; RuntimeError is json's for deep nesting.
_FAULTS = (ValueError, KeyError, TypeError, RuntimeError)


class Contents(NamedTuple):
    """What a bundle holds.

    Attributes:
        description: What `schema.json` describes; and "card", Markdown, and "keras", Keras' config of a model of the
            user's own, where the bundle has them.
        weights: The model's weights, in its order. Views of the file's bytes.
        named: Further arrays by name, such as "held_out/labels".

    Examples:
        >>> from imgcls import Dataset, ImageClassifier, bundle
        >>> digits = Dataset.builtin("digits")[:20]
        >>> classifier = ImageClassifier("small_cnn", image_size=8, epochs=1).fit(digits, verbose=0)
        >>> contents = bundle.load(classifier.save("digits.imgcls"))
        >>> contents.description["architecture"], contents.description["golden"], contents.weights[0].shape
        ('small_cnn', 'drawn', (3, 3, 1, 16))
        >>> sorted(contents.named)
        ['golden/images', 'golden/probabilities', 'training/contents', 'training/pixels']
    """

    description: dict[str, Any]
    weights: list[NDArray[Any]]
    named: dict[str, NDArray[Any]]


def save(
    path: str | Path,
    description: Mapping[str, Any],
    weights: Sequence[NDArray[Any]],
    named: Mapping[str, NDArray[Any]],
) -> Path:
    """Write a bundle: to a temporary file beside `path`, flushed to disk, then renamed.

    What would be refused by `load` is refused here.

    Args:
        path: The file to write; an existing one is replaced, and stays whole if writing fails.
        description: As `Contents` has it.
        weights: The same.
        named: The same.

    Returns:
        The path.

    Raises:
        BundleError: The folder does not exist, the file cannot be written, or a part is not accepted; the message names
            it.

    Examples:
        >>> from imgcls import Dataset, ImageClassifier, bundle
        >>> classifier = ImageClassifier("small_cnn", image_size=8, epochs=1)
        >>> path = classifier.fit(Dataset.builtin("digits")[:20], verbose=0).save("digits.imgcls")
        >>> description, weights, named = bundle.load(path)
        >>> path = bundle.save("licensed.imgcls", description | {"license": "CC-BY-4.0"}, weights, named)
        >>> bundle.load(path).description["license"]
        'CC-BY-4.0'
        >>> bundle.save("wrong.imgcls", description | {"multi_label": "yes"}, weights, named)
        Traceback (most recent call last):
        imgcls.errors.BundleError: the classifier cannot be saved: multi_label is "yes"; accepted: true or false.
    """
    path = Path(path)
    try:
        is_folder, has_place = path.is_dir(), path.parent.is_dir()
    except OSError as error:  # such as a name that is too long
        raise _archive.unwritable(path, error) from error
    if is_folder:
        message = f"{str(path)!r} is a folder. Name a file, such as 'model.imgcls'."
        raise BundleError(message)
    if not has_place:
        message = f"folder {str(path.parent)!r} does not exist. Make it, or save somewhere else."
        raise BundleError(message)
    plain = {name: value for name, value in description.items() if name not in _BESIDE}
    beside = {name: description[name] for name in _BESIDE if description.get(name) is not None}
    numbered = {_arrays.number(index): weight for index, weight in enumerate(weights)}
    try:
        text = _json.write(plain)
        _check_description(_json.read(text))
        _arrays.check(plain, list(weights), named)
        _check_beside(plain, beside)
        members: dict[str, _archive.Pieces] = {_DESCRIPTION: [text]}
        members |= {_BESIDE[name]: [_beside(name, value)] for name, value in beside.items()}
        members[_WEIGHTS] = _tensors.write({**numbered, **named})
    except _FAULTS as error:
        message = f"the classifier cannot be saved: {error}."
        raise BundleError(message) from error
    members[_DESCRIPTION] = [text, b" " * (-_place_of_arrays(members) % _ALIGNED)]
    _archive.write(path, {_MANIFEST: [_manifest(members)], **members})
    return path


def load(path: str | Path) -> Contents:
    """Read a bundle, and check it against everything that can be known without building the model.

    Nothing in the file is executed, and nothing but the file is opened. A file of more bytes than the environment
    variable `IMGCLS_MAX_BUNDLE_BYTES` says (4 GiB, if it is not set) is not read.

    Args:
        path: The file.

    Returns:
        The `Contents`, as they were saved.

    Raises:
        BundleError: It is not a bundle, of another version, or a part is missing, unknown, too large or wrong; the
            message names the part.
        TamperedBundleError: It is truncated, damaged or altered.

    Examples:
        >>> from imgcls import Dataset, ImageClassifier, bundle
        >>> classifier = ImageClassifier("small_cnn", image_size=8, epochs=1)
        >>> path = classifier.fit(Dataset.builtin("digits"), verbose=0).save("digits.imgcls")
        >>> description, weights, named = bundle.load(path)
        >>> description["classes"][:3], description["blueprint"]["input_shape"], len(weights)
        (['0', '1', '2'], [8, 8, 1], 17)
        >>> named["golden/images"].shape
        (8, 8, 8, 1)
    """
    path = Path(path)
    data = _archive.read(path)
    description: dict[str, Any] = {}
    try:
        members = _archive.members(data)
        _check_format(members, path)
        _check_manifest(members, path)
        description = _json.read(members[_DESCRIPTION])
        _check_description(description)
        weights, named = _arrays.divide(_tensors.read(members[_WEIGHTS]))
        _arrays.check(description, weights, named)
        beside = {name: _unpacked(name, members[member]) for name, member in _BESIDE.items() if member in members}
        _check_beside(description, beside)
    except _FAULTS as error:
        message = f"{str(path)!r} is sealed but not a bundle: {error}. {_advice(description)}"
        raise BundleError(message) from error
    except MemoryError as error:
        message = f"{str(path)!r} holds more than there is memory for. Get the file from where it was saved."
        raise BundleError(message) from error
    return Contents(description | beside, weights, {name: array.copy() for name, array in named.items()})


def check_config(config: Mapping[str, Any]) -> None:
    """Refuse a Keras config that `load` would not read.

    Raises:
        TypeError: It holds what JSON has no word for.
        ValueError: It is too large, or nests too deeply.

    Examples:
        >>> from imgcls import bundle
        >>> bundle.check_config({"name": "mine", "layers": []})
        >>> deep = {}
        >>> for _ in range(99):
        ...     deep = {"config": deep}
        >>> bundle.check_config(deep)
        Traceback (most recent call last):
        ValueError: JSON nests 100 deep, and at most 64 are read
    """
    _unpacked("keras", memoryview(_json.write(dict(config))))


def check_classes(classes: Sequence[Any]) -> None:
    """Refuse classes that no bundle can hold, before there is work that could be lost.

    Raises:
        BundleError: A name is too long, or is no text that JSON can hold; the message names it.

    Examples:
        >>> from imgcls import bundle
        >>> bundle.check_classes(["cat", "dog"])
    """
    half = next((repr(name) for name in classes if isinstance(name, str) and _HALF.search(name)), None)
    problem = f"{half} is no text in UTF-8" if half else _schema.description().problem(list(classes), of="classes")
    problem = problem or _too_long(classes)
    if problem is not None:
        message = f"no bundle can hold the classes: {problem}. Rename that folder or label."
        raise BundleError(message)


def _check_description(description: dict[str, Any]) -> None:
    """Refuse what does not agree with the schema, or with itself."""
    problem = _schema.description().problem(description) or _contradiction(description)
    if problem is not None:
        raise ValueError(problem)


def _check_beside(description: Mapping[str, Any], beside: Mapping[str, Any]) -> None:
    if "keras" in beside and description["architecture"] is not None:
        message = f"keras.json describes a model, and architecture is {description['architecture']!r}: accepted is one"
        raise ValueError(message)


def _too_long(classes: Sequence[Any]) -> str | None:
    if len(classes) * max((len(str(name)) for name in classes), default=0) <= _MOST_NAMES:
        return None
    return f"classes are too many for names so long; accepted: {_MOST_NAMES:,} characters, each taken as the longest"


def _contradiction(description: Mapping[str, Any]) -> str | None:
    """Return what a schema cannot say."""
    classes, blueprint = description["classes"], description["blueprint"]
    if len({type(name) for name in classes}) > 1 or len(set(classes)) < len(classes):
        return "classes are mixed or repeated; accepted: different names, or different whole numbers"
    too_long = _too_long(classes)
    if too_long is not None:
        return too_long
    outputs, sigmoid, several = blueprint["num_classes"], blueprint["head"] == "sigmoid", description["multi_label"]
    alone = outputs == 1 and len(classes) == 2 and sigmoid and not several
    if (outputs != len(classes) and not alone) or (several and not sigmoid):
        return (
            f"blueprint.num_classes is {outputs} with a {blueprint['head']} for {len(classes)} classes; accepted: one "
            "output a class, a sigmoid where an image may have several labels, or one sigmoid for two classes"
        )
    channels = 1 if blueprint["grayscale"] else blueprint["input_shape"][2]
    if blueprint["grayscale"] and blueprint["input_shape"][2] != 3:
        return "blueprint.grayscale is true; accepted: only with three channels in blueprint.input_shape"
    mean, std = blueprint.get("mean", [0]), blueprint.get("std", [1])
    if len(mean) not in {1, channels} or len(std) != len(mean):
        return (
            f"blueprint.mean and blueprint.std are lists of {len(mean)} and {len(std)}; accepted: 1 or {channels} each"
        )
    name, given = description["architecture"], description["parameters"].get("architecture")
    chosen = description["choices"].get("architecture", [given])[0]
    if chosen != name:
        return f"architecture is {name!r}, and parameters and choices say {chosen!r}; accepted: one and the same"
    if description["temperature"] != description["choices"].get("temperature", [1])[0]:
        return f"temperature is {description['temperature']}; accepted: that of choices.temperature, or 1 without one"
    try:
        Thresholds.of(description["thresholds"], description["classes"], multi_label=description["multi_label"])
    except ConfigurationError as error:
        return str(error).rstrip(".")
    rows = (description["evaluation"] or {}).get("per_class")
    if rows is not None and len(rows) != len(classes):
        return f"evaluation.per_class is a list of {len(rows)}; accepted: one row for each of {len(classes)} classes"
    return None


def _check_format(members: Mapping[str, memoryview], path: Path) -> None:
    """Refuse another format by the version that wrote it: all else may be otherwise in it."""
    if _MANIFEST not in members:
        return
    found = _json.read(members[_MANIFEST]).get("format")
    if found != FORMAT or type(found) is not int:
        try:
            description = _json.read(members[_DESCRIPTION])
        except _FAULTS:  # a later format may have none
            description = {}
        advice = _advice(description, otherwise="Install the imgcls that wrote it, or a newer one.")
        message = f"{str(path)!r} has bundle format {str(found)[:20]!r} and this imgcls reads format {FORMAT}. {advice}"
        raise BundleError(message)


def _check_manifest(members: Mapping[str, memoryview], path: Path) -> None:
    names = [_MANIFEST, _DESCRIPTION, *(name for name in _BESIDE.values() if name in members), _WEIGHTS]
    if list(members) != names:
        accepted = ", ".join([_MANIFEST, _DESCRIPTION, *(f"[{name}]" for name in _BESIDE.values()), _WEIGHTS])
        message = f"its members are {', '.join(members)[:200] or 'none'}; accepted: {accepted}, in this order"
        raise ValueError(message)
    manifest = _json.read(members[_MANIFEST])
    hashes = {name: _archive.sha256([members[name]]) for name in names[1:]}
    if manifest != {"format": FORMAT, "sha256": hashes}:
        message = f"the parts of {str(path)!r} are not those that its manifest lists. Get the file again."
        raise TamperedBundleError(message)


def _manifest(members: Mapping[str, _archive.Pieces]) -> bytes:
    return _json.write({"format": FORMAT, "sha256": {name: _archive.sha256(each) for name, each in members.items()}})


def _place_of_arrays(members: Mapping[str, _archive.Pieces]) -> int:
    """Return where in the file the arrays would begin. The manifest is as long whatever its hashes are."""
    before = {_MANIFEST: [_manifest(members)], **{name: each for name, each in members.items() if name != _WEIGHTS}}
    bytes_before = sum(_archive.header_bytes(name) + sum(map(len, each)) for name, each in before.items())
    return bytes_before + _archive.header_bytes(_WEIGHTS)


def _beside(name: str, value: Any) -> bytes:
    """Return a member of its own as bytes; what reading would refuse is refused."""
    data = _json.write(value) if name == "keras" else str(value).encode()
    _unpacked(name, memoryview(data))
    return data


def _unpacked(name: str, data: memoryview) -> Any:
    if name == "keras":
        return _json.read(data)
    if len(data) > _MOST_CARD:
        message = f"its model card has {len(data):,} bytes, and at most {_MOST_CARD:,} are read"
        raise ValueError(message)
    text = bytes(data).decode()
    if _CONTROL.search(text):
        message = "its model card holds control characters"
        raise ValueError(message)
    return text


def _advice(description: Mapping[str, Any], *, otherwise: str = "Get the file from where it was saved.") -> str:
    """Return what to do with a file that is not accepted."""
    version = description.get("imgcls")
    if isinstance(version, str) and version != __version__ and _VERSION.fullmatch(version):
        return f"It says that imgcls {version} wrote it, and this is {__version__}: install that one, or a newer one."
    return otherwise
