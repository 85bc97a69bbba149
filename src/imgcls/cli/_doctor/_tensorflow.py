"""TensorFlow, asked in a process of its own: it may end that process, and it says why only in its log."""

import json
import os
import re
import signal
import subprocess
import sys
from typing import Any

_PATIENCE = 300.0  # seconds; from a slow network disk it takes one or two minutes to start
_QUESTION = "import json; from imgcls._backend._gpu import checkup; print(); print(json.dumps(checkup()))"
# Its log names the libraries that it could not open, and little else.
_LOG = {"TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_MAX_VLOG_LEVEL": "0", "TF_CPP_VMODULE": "dso_loader=1"}
_ERROR = re.compile(r"^(?:[\w.]+\.)?(\w+(?:Error|Exception): .+)$", re.MULTILINE)  # of a traceback, without the module
_SIGNALS = {
    "SIGILL": "This processor lacks instructions, such as AVX, that TensorFlow was built with. Use another machine, or "
    "build TensorFlow for this one.",
    "SIGKILL": "Most often memory has run out. Close other programs, or use a machine with more memory.",
}


def ask() -> tuple[dict[str, Any], str]:
    """Start TensorFlow and ask it.

    Returns:
        The facts, as `told` returns them, and TensorFlow's log.
    """
    # -P keeps the working folder, which may hold a stranger's files, from being searched for modules.
    command = [sys.executable, "-P", "-c", _QUESTION]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            env=os.environ | _LOG,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"starts": False, "trouble": f"it has not started within {_PATIENCE:.0f} seconds"}, ""
    return told(done.returncode, done.stdout, done.stderr), done.stderr


def told(returncode: int, stdout: str, stderr: str) -> dict[str, Any]:
    """Read the answer of that process.

    Returns:
        `{"starts": True, "trouble": None}` and what `_backend._gpu.checkup` returns; or `{"starts": False, "trouble":
        ...}`, why in words.
    """
    if returncode == 0:
        return {"starts": True, "trouble": None, **json.loads(stdout.splitlines()[-1])}
    if returncode < 0:
        name = signal.Signals(-returncode).name
        return {"starts": False, "trouble": f"the system ended it with {name}. {_SIGNALS.get(name, '')}".strip()}
    errors = _ERROR.findall(stderr)
    return {"starts": False, "trouble": errors[-1].strip() if errors else f"it ended with exit code {returncode}"}
