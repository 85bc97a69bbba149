"""ONNX: one file that ONNX Runtime runs on servers, in browsers and in a dozen languages."""

from pathlib import Path
from typing import Any

from imgcls import _runtimes
from imgcls._runtimes import Run
from imgcls.export._facts import KEY, Facts
from imgcls.export._source import Source, Wanted


def write(source: Source, path: Path, wanted: Wanted) -> None:
    """Write a model with facts in its metadata, and class names under "names", where Ultralytics' tools look."""
    _runtimes.onnxruntime()  # first of all: the converter may import it too
    import onnx

    from imgcls import _backend

    model = _backend.as_onnx(source.definition, "probabilities")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    if wanted.any_size:
        _resize_first(model.graph, source.facts.input_shape[:2])
    notes = {KEY: source.facts.to_json(), "names": str(dict(enumerate(source.facts.classes)))}
    onnx.helper.set_model_props(model, notes)
    model.producer_name, model.producer_version = "imgcls", source.facts.imgcls
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def read(path: Path) -> tuple[Facts, Run]:
    """Open a file."""
    session = _runtimes.onnx_session(path.read_bytes())
    return Facts.from_json(session.get_modelmeta().custom_metadata_map.get(KEY)), _runtimes.run_onnx(session)


def _resize_first(graph: Any, size: tuple[int, int]) -> None:
    """Put a resize before all else: on whole numbers and antialiased it is within 3 of 255 of Pillow's."""
    from onnx import TensorProto, helper

    for node in graph.node:
        node.input[:] = ["resized" if name == "images" else name for name in node.input]
    resize = helper.make_node(
        "Resize", ["images", "", "", "size"], ["resized"], name="resize", mode="linear", antialias=1, axes=[1, 2]
    )
    graph.node.insert(0, resize)
    graph.initializer.append(helper.make_tensor("size", TensorProto.INT64, [2], size))
    for index, name in ((1, "H"), (2, "W")):
        graph.input[0].type.tensor_type.shape.dim[index].dim_param = name
