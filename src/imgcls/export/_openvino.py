"""OpenVINO: two files, `.xml` and `.bin`, for Intel's processors, and the quickest on those that we measured."""

from pathlib import Path
from tempfile import TemporaryDirectory

from imgcls import _runtimes
from imgcls._runtimes import Run
from imgcls.export._facts import KEY, Facts
from imgcls.export._source import Source, Wanted


def write(source: Source, path: Path, wanted: Wanted) -> None:
    """Write a model with facts among its notes, and class names where OpenVINO's Model API looks for them."""
    openvino = _runtimes.openvino()
    with TemporaryDirectory(prefix="imgcls-", ignore_cleanup_errors=True) as folder:
        graph = Path(folder) / "model.pb"
        graph.write_bytes(source.definition.graph.SerializeToString())
        model = _runtimes.openvino_core().read_model(graph)
        if wanted.any_size:
            from openvino import preprocess

            steps = preprocess.PrePostProcessor(model)
            steps.input().tensor().set_layout(openvino.Layout("NHWC")).set_spatial_dynamic_shape()
            steps.input().model().set_layout(openvino.Layout("NHWC"))
            steps.input().preprocess().resize(preprocess.ResizeAlgorithm.RESIZE_BILINEAR_PILLOW)
            model = steps.build()
        model.input(0).get_tensor().set_names({"images"})
        model.output(0).get_tensor().set_names({"probabilities"})
        model.set_rt_info(source.facts.to_json(), [KEY, "facts"])
        model.set_rt_info(
            " ".join("_".join(str(one).split()) for one in source.facts.classes), ["model_info", "labels"]
        )
        openvino.save_model(model, path, compress_to_fp16=False)


def read(path: Path) -> tuple[Facts, Run]:
    """Open a pair of files."""
    model = _runtimes.openvino_core().read_model(path)
    text = model.get_rt_info([KEY, "facts"]).astype(str) if model.has_rt_info([KEY, "facts"]) else None
    return Facts.from_json(text), _runtimes.run_openvino(model)
