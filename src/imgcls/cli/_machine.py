"""`imgcls doctor`: what this machine has."""

import os
from typing import Any

from imgcls import __version__
from imgcls.cli._app import Json, app, print_facts, tensorflow_started


@app.command()
def doctor(*, json_: Json = False) -> None:
    """Say what this machine has: versions, devices, cores, free disk."""
    with tensorflow_started():
        from imgcls import _backend
    import platform
    import shutil
    from importlib.metadata import version as installed

    names = ("keras", "numpy", "pillow", "scikit-learn", "matplotlib", "seaborn", "safetensors")
    facts: dict[str, Any] = {
        "imgcls": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "free disk (GiB)": round(shutil.disk_usage(".").free / 2**30, 1),
        **_backend.devices(),
        **{name: installed(name) for name in names},
    }
    if not facts["GPUs"]:
        facts["GPU"] = 'none seen by TensorFlow. With an NVIDIA GPU on Linux: pip install "imgcls[gpu]"'
    print_facts(facts, json_=json_)
