"""Serving: a model behind HTTP, with limits on size, pixels, time and concurrency.

Needs `pip install "imgcls[serve]"`: uvicorn, an ASGI server; httptools, its quicker parser; and python-multipart, which
reads forms. TensorFlow is needed where the model needs it: a bundle does, an exported `.onnx` or `.tflite` file does
not.

There is no web framework in it. Five routes are a dictionary, and what a framework would bring on top, reading bodies
and wording refusals, is what has to be bounded and worded here.
"""

from imgcls.serving._app import create_app
from imgcls.serving._serve import serve

__all__ = ["create_app", "serve"]
