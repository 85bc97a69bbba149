"""`imgcls serve`: a model behind HTTP."""

from typing import Annotated, Any

import typer

from imgcls.cli._app import AnyModel, Trust, app, whole
from imgcls.cli._open import check_openable, opened


@app.command()
def serve(
    model: AnyModel,
    *,
    trust: Trust = False,
    host: Annotated[
        str, typer.Option(help="The address to listen at. Others than 127.0.0.1 and ::1 are open to other machines.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen at; 0 for a free one.")] = 8080,
    batch_size: Annotated[
        str, typer.Option(help="The most images that go through the model at once, or auto.")
    ] = "auto",
    queue_size: Annotated[int, typer.Option(help="The most images that wait; beyond them it answers 503.")] = 32,
    max_bytes: Annotated[int, typer.Option(help="The most bytes of a request.")] = 16 * 2**20,
    timeout: Annotated[float, typer.Option(help="Seconds for a request to arrive, and to be answered.")] = 30.0,
) -> None:
    """Answer images by HTTP: POST /predict, GET /health, GET /metrics, and a page to try it at GET /.

    Ctrl-C stops it, after the requests that it has accepted. A bundle explains too, and starts TensorFlow; an exported
    file does without.

    Example: imgcls serve flowers.onnx --port 8080
    """
    from imgcls.serving._serve import listening, run

    check_openable(model)
    limits: dict[str, Any] = {
        "batch_size": whole("batch_size", batch_size),
        "queue_size": queue_size,
        "max_bytes": max_bytes,
        "timeout": timeout,
    }
    with listening(host, port) as place:
        try:
            run(opened(model, trust=trust), place, name=model.name, **limits)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
