"""`deploy/Dockerfile` step by step, in a fresh virtual environment instead of an image: Docker is on few machines."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from imgcls import ImageClassifier
from imgcls.images import write_png

ROOT = Path(__file__).parents[2]
IMAGES = np.repeat(np.arange(0, 250, 5, np.uint8), 64).reshape(50, 8, 8)
INSIDE = ("/source", "/wheel", "/requirements.txt", "/model")


def steps():
    """Return the instructions of the file: (name, what follows)."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def within(text, root):
    """Let what is absolute in the image lie below a folder."""
    for path in INSIDE:
        text = re.sub(rf"(?<![\w.]){path}\b", f"{root}{path}", text)
    return text


def copy(what, context, root, model):
    sources, target = what.split()[:-1], Path(within(what.split()[-1], root) if what.split()[-1] != "/" else root)
    for source in sources:
        folder = model.parent if "MODEL" in source else context
        for found in sorted(folder.glob(source.replace("${MODEL}", model.name))):
            if found.is_dir():
                shutil.copytree(found, target, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, target)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of a Unix shell")
def test_every_step_runs_and_the_health_check_passes(tmp_path):
    model, root = tmp_path / "context" / "brightness.onnx", tmp_path / "image"
    model.parent.mkdir()
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=1).fit(
        IMAGES, ["dark"] * 25 + ["light"] * 25, verbose=0
    )
    classifier.export(model)
    subprocess.run([sys.executable, "-m", "venv", root], check=True)
    arguments = {name: value for _, what in steps() if "=" in what for name, _, value in [what.partition("=")]}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    here = {
        **kept,
        "PATH": f"{root / 'bin'}:{os.environ['PATH']}",
        "MODEL": model.name,
        "RUNTIME": arguments["RUNTIME"],
    }

    def run(command):
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=tmp_path, env=here, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"

    commands = {}
    for name, what in steps():
        if name == "RUN":
            run(within(re.sub(r"--mount=\S+ ", "", what), root))
        elif name == "COPY":
            copy(what, ROOT, root, model)
        elif name in {"CMD", "HEALTHCHECK"}:
            commands[name] = json.loads(within(what[what.index("[") :], root))
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = str(free.getsockname()[1])
    commands["CMD"][-1] = re.sub(r"--host \S+", f"--port {port}", commands["CMD"][-1])
    health = [word.replace("8080", port) for word in commands["HEALTHCHECK"]]
    with subprocess.Popen(commands["CMD"], cwd=tmp_path, env=here, stderr=subprocess.PIPE) as server:
        try:
            for _ in range(40):
                time.sleep(0.25)
                if not subprocess.run(health, env=here, capture_output=True, check=False).returncode:
                    break
            else:
                pytest.fail("the health check has not passed within ten seconds or more")
            write_png(IMAGES[40][..., None], tmp_path / "light.png")
            with closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)) as connection:
                connection.request(
                    "POST", "/predict", (tmp_path / "light.png").read_bytes(), {"Content-Type": "image/png"}
                )
                told = json.load(connection.getresponse())
        finally:
            server.terminate()
    assert told["label"] == classifier.predict(IMAGES[40]).label
    installed = {path.name.lower() for path in root.glob("lib/python3*/site-packages/*")}
    assert "onnxruntime" in installed
    assert not installed & {"tensorflow", "keras", "sklearn", "scipy", "matplotlib"}
