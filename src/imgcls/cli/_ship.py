"""`imgcls export` and `verify`: a model for other programs, and the proof that it still answers the same."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from imgcls.cli._app import AnyModel, Image, Json, Label, Model, Root, Trust, app
from imgcls.cli._open import check_model, check_openable, opened, read_if_given
from imgcls.cli._print import print_json, print_text


@app.command()
def export(
    context: typer.Context,
    model: Model,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to: .onnx, .tflite, .xml, .keras, or the name of a folder.")
    ],
    data: Annotated[
        Path | None, typer.Option(help="Labelled images to compare on, and to set the ranges of int8 by.")
    ] = None,
    *,
    trust: Trust = False,
    form: Annotated[
        str | None,
        typer.Option("--format", help="saved_model, onnx, litert, openvino or keras; else the ending decides."),
    ] = None,
    quantize: Annotated[str | None, typer.Option(help="Of LiteRT: float16 or int8.")] = None,
    any_size: Annotated[
        bool,
        typer.Option(
            "--any-size/--no-any-size",
            show_default=False,
            help="Take images of any size; the file resizes them itself.",
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force/--no-force", show_default=False, help="Keep a quantised file that is less accurate or slower."
        ),
    ] = False,
    image: Image = None,
    label: Label = None,
    root: Root = None,
    json_: Json = False,
) -> None:
    """Write a model as a file for other programs, run it there, and compare before it is kept.

    Example: imgcls export photos.imgcls -o photos.tflite --quantize int8 --data photos/
    """
    check_model(model)
    dataset = read_if_given(data, context=context, image=image, label=label, root=root)
    classifier = opened(model, trust=trust)
    certificate = classifier.export(output, form, data=dataset, quantize=quantize, any_size=any_size, force=force)
    typer.echo(certificate.to_json()) if json_ else print_text(str(certificate))
    typer.echo(f"wrote {output}", err=True)


@app.command()
def verify(model: AnyModel, *, trust: Trust = False, json_: Json = False) -> None:
    """Run the golden images of a model again, here, and compare with what they gave when it was made.

    Exit code 1: it answers otherwise. ONNX, LiteRT and OpenVINO files are run without TensorFlow.

    Example: imgcls verify photos.onnx
    """
    check_openable(model)
    found = opened(model, trust=trust).verify()
    if json_:
        print_json({"same": bool(found), **asdict(found)})
    else:
        print_text(str(found))
    if not found:
        raise typer.Exit(1)
