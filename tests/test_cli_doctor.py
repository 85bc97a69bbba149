"""`imgcls doctor`: facts from fed metadata, libraries and logs; findings from facts; and the verb on this machine."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import imgcls
from imgcls import ConfigurationError, _memory, cli
from imgcls.cli import _doctor
from imgcls.cli._doctor import _driver, _findings, _libraries, _machine, _packages, _sections, _tensorflow

CUDA_12 = (
    "cudart.so.12",
    "cublas.so.12",
    "cublasLt.so.12",
    "cufft.so.11",
    "cusolver.so.11",
    "cusparse.so.12",
    "cudnn.so.9",
)
NEEDED = [f"lib{name}" for name in CUDA_12]
ABSENT = "cannot open shared object file: No such file or directory"


# --- packages ------------------------------------------------------------------------------------------------------


def shop(**versions):
    """Return a `find` of fed metadata: imgcls with two requirements and four extras, and what is installed."""
    requires = {
        "imgcls": [
            "numpy>=2.0",
            "tensorflow>=2.21",
            'colorama; sys_platform == "none"',
            'tensorflow[and-cuda]>=2.21; extra == "gpu"',
            'onnx>=1.23; extra == "onnx"',
            'tf2onnx>=1.17; extra == "onnx"',
            'pandas; extra == "tables"',
        ],
        "tensorflow": ["six", 'nvidia-cudnn-cu12<10.0,>=9.3; extra == "and-cuda"'],
    }
    extras = {"imgcls": ["gpu", "onnx", "tables"]}
    versions = {"imgcls": "0.1"} | {name.replace("_", "-"): version for name, version in versions.items()}

    def find(name):
        if name not in versions:
            return None
        return _packages.Distribution(versions[name], requires.get(name, []), extras.get(name, []))

    return find


def test_packages_are_compared_with_the_floors_of_the_metadata():
    found = _packages.packages(shop(numpy="1.26.4"))
    assert found == {
        "numpy": {"installed": "1.26.4", "needed": ">=2.0", "state": "too old"},
        "tensorflow": {"installed": None, "needed": ">=2.21", "state": "missing"},
    }
    assert _packages.packages(shop(numpy="2.1.0rc1"))["numpy"]["state"] == "good"
    assert _packages.packages(lambda name: None) == {}


def test_extras_are_read_from_the_metadata_and_followed_into_the_extras_of_others():
    found = _packages.extras(shop(numpy="2.0", tensorflow="2.21", onnx="1.20", pandas="2.2"))
    assert {name: one["state"] for name, one in found.items()} == {
        "gpu": "absent",
        "onnx": "incomplete",
        "tables": "good",
    }
    assert set(found["gpu"]["packages"]) == {"tensorflow", "nvidia-cudnn-cu12"}
    assert found["onnx"]["packages"]["onnx"]["state"] == "too old"
    assert found["onnx"]["install"] == 'pip install "imgcls[onnx]"'
    full = _packages.extras(shop(numpy="2.0", tensorflow="2.21", nvidia_cudnn_cu12="9.5"))
    assert full["gpu"]["state"] == "good"
    assert _packages.extras(lambda name: None) == {}


def test_the_extras_of_this_installation_are_those_that_pyproject_names():
    import tomllib

    text = (Path(imgcls.__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    named = tomllib.loads(text)["project"]
    assert set(_packages.extras()) == set(named["optional-dependencies"])
    assert set(_packages.packages()) == {one.partition(">")[0] for one in named["dependencies"]}


def test_without_packaging_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    with pytest.raises(ConfigurationError) as refused:
        _packages.packages(shop())
    assert (
        str(refused.value) == "doctor needs packaging, which comes with TensorFlow. Install it: pip install packaging"
    )


# --- machine -------------------------------------------------------------------------------------------------------


def tree(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_memory_is_that_of_the_machine():
    assert _machine.machine()["memory"]["total_bytes"] == _memory.total()
    assert (_memory.total() or 2**30) > 2**28


def test_the_cache_may_be_off(monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", "off")
    assert _machine.machine()["disks"]["cache"] is None


# --- driver --------------------------------------------------------------------------------------------------------


class Cuda:
    """The driver's library, of a version."""

    def __init__(self, version, status=0):
        self.version, self.status = version, status

    def cuDriverGetVersion(self, pointer):  # noqa: N802 - NVIDIA's name
        pointer._obj.value = self.version
        return self.status


def absent(name):
    raise OSError(f"{name}: {ABSENT}")


def test_a_driver_and_its_gpus(tmp_path):
    said = "NVIDIA H200, 550.54.14, 143771, 9.0\nTesla, one, 550.54.14, 1, 2\nOld GPU, 550.54.14, [N/A], 6.1\n"
    found = _driver.driver(run=lambda command: said, load=lambda name: Cuda(12040), root=tmp_path)
    assert found == {
        "cards": 0,
        "version": "550.54.14",
        "cuda": "12.4",
        "gpus": [
            {"name": "NVIDIA H200", "memory_bytes": 143771 * 2**20, "capability": "9.0"},
            {"name": "Old GPU", "memory_bytes": None, "capability": "6.1"},
        ],
        "trouble": None,
    }


def test_a_card_without_a_driver(tmp_path):
    tree(tmp_path, sys__bus__pci__devices__1__vendor="0x10de\n", sys__bus__pci__devices__1__class="0x030200\n")
    tree(tmp_path, sys__bus__pci__devices__2__vendor="0x10de\n", sys__bus__pci__devices__2__class="0x040300\n")  # sound
    tree(tmp_path, sys__bus__pci__devices__3__vendor="0x8086\n", sys__bus__pci__devices__3__class="0x030000\n")
    tree(tmp_path, sys__bus__pci__devices__4__vendor="0x10de\n")
    found = _driver.driver(run=lambda command: "", load=absent, root=tmp_path)
    assert found == {"cards": 1, "version": None, "cuda": None, "gpus": [], "trouble": f"libcuda.so.1: {ABSENT}"}


def test_a_driver_that_only_the_kernel_knows(tmp_path):
    text = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\nGCC version: gcc 12.3.0\n"
    tree(tmp_path, proc__driver__nvidia__version=text)
    found = _driver.driver(run=lambda command: "", load=lambda name: Cuda(0, status=100), root=tmp_path)
    assert (found["version"], found["cuda"], found["trouble"]) == ("535.183.01", None, "libcuda.so.1 does not answer")


def test_commands_that_are_absent_or_fail_say_nothing():
    assert not _driver.run(("no-such-program-of-ours",))
    assert not _driver.run((sys.executable, "-c", "print(1); raise SystemExit(9)"))
    assert _driver.run((sys.executable, "-c", "print(1)")) == "1\n"


# --- libraries -----------------------------------------------------------------------------------------------------

LOG = """\
I0000 00:00:1795903175.396115    9678 dso_loader.cc:144] Successfully opened dynamic library libcudart.so.12
I0000 00:00:1795903175.396115    9678 dso_loader.cc:144] Could not load dynamic library 'libcudnn.so.9'; dlerror: libcudnn.so.9: cannot open shared object file: No such file or directory; LD_LIBRARY_PATH: /usr/lib
I0000 00:00:1795903175.396115    9678 dso_loader.cc:144] Could not load dynamic library 'libcusolver.so.11'; dlerror: libnvJitLink.so.12: cannot open shared object file: No such file or directory
W0000 00:00:1737317404.258825   10111 gpu_device.cc:2344] Cannot dlopen some GPU libraries. Please make sure the missing libraries mentioned above are installed properly if you would like to use GPU.
"""


def test_the_log_names_what_tensorflow_could_not_open():
    found = _libraries.libraries(["libcudart.so.12", "libcudnn.so.9", "libcusolver.so.11"], LOG, load=absent)
    assert [one["opens"] for one in found.values()] == [True, False, False]
    assert found["libcudnn.so.9"]["trouble"] == f"libcudnn.so.9: {ABSENT}"
    assert [one["missing"] for one in found.values()] == [None, "libcudnn.so.9", "libnvJitLink.so.12"]


def test_what_lies_in_a_folder_of_pip_opens_unless_tensorflow_has_said_otherwise(tmp_path):
    (tmp_path / "libcudnn.so.9").touch()
    opened = []
    found = _libraries.libraries(["libcudnn.so.9", "libcufft.so.11"], folders=[tmp_path], load=opened.append)
    assert all(one["opens"] for one in found.values())
    assert opened == [str(tmp_path / "libcudnn.so.9"), "libcufft.so.11"]
    said = _libraries.libraries(["libcudnn.so.9"], LOG, folders=[tmp_path], load=opened.append)["libcudnn.so.9"]
    assert (said["opens"], said["missing"], said["folder"]) == (False, None, str(tmp_path))


def test_a_library_of_pip_that_lacks_another(tmp_path):
    (tmp_path / "libcusolver.so.11").touch()

    def load(path):
        raise OSError(f"libnvJitLink.so.12: {ABSENT}")

    (found,) = _libraries.libraries(["libcusolver.so.11"], folders=[tmp_path], load=load).values()
    assert (found["opens"], found["missing"], found["folder"]) == (False, "libnvJitLink.so.12", None)


def test_a_file_that_is_no_library_is_said_to_be_none(tmp_path):
    (tmp_path / "libcudnn.so.9").write_text("text")
    (found,) = _libraries.libraries(["libcudnn.so.9"], folders=[tmp_path]).values()
    assert not found["opens"]
    assert found["missing"] == "libcudnn.so.9"
    assert "file too short" in found["trouble"] or "invalid ELF header" in found["trouble"]


def test_folders_of_pip(tmp_path, monkeypatch):
    assert _libraries.pip_folders() == [] or all(one.name == "lib" for one in _libraries.pip_folders())
    (tmp_path / "nvidia" / "cudnn" / "lib").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    assert tmp_path / "nvidia" / "cudnn" / "lib" in _libraries.pip_folders()


# --- TensorFlow ----------------------------------------------------------------------------------------------------


def test_the_answer_of_tensorflow():
    found = _tensorflow.told(0, 'noise\n{"version": "2.21.0"}\n', "")
    assert found == {"starts": True, "trouble": None, "version": "2.21.0"}


@pytest.mark.parametrize(
    ("code", "log", "trouble"),
    [
        (-4, "", "the system ended it with SIGILL. This processor lacks instructions, such as AVX, "),
        (-9, "", "the system ended it with SIGKILL. Most often memory has run out. "),
        (-11, "", "the system ended it with SIGSEGV."),
        (3, "W gpu: x\n", "it ended with exit code 3"),
        (
            1,
            (
                "Traceback (most recent call last):\n  File x\nImportError: DLL load failed\n\nDuring handling of the above "
                "exception, another exception occurred:\n\nTraceback (most recent call last):\n  raise ImportError(\n"
                "ImportError: libstdc++.so.6: version `GLIBCXX_3.4.30' not found\n\n\nFailed to load the native TensorFlow "
                "runtime.\nIf you need help, create an issue"
            ),
            "ImportError: libstdc++.so.6: version `GLIBCXX_3.4.30' not found",
        ),
        (
            1,
            "imgcls.errors.ConfigurationError: Keras runs on 'jax'. Set x",
            "ConfigurationError: Keras runs on 'jax'. Set x",
        ),
    ],
)
def test_tensorflow_that_does_not_start_is_told_in_words(code, log, trouble):
    found = _tensorflow.told(code, "", log)
    assert found["starts"] is False
    assert found["trouble"].startswith(trouble)
    assert "Traceback" not in found["trouble"]


def test_tensorflow_that_never_answers(monkeypatch):
    def wait(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", wait)
    assert _tensorflow.ask() == ({"starts": False, "trouble": "it has not started within 300 seconds"}, "")


# --- findings ------------------------------------------------------------------------------------------------------


def facts(*, driver=None, libraries=None, tensorflow=None, hidden=None, cards=1, packages=None, extras=None):
    """Return the facts of a machine: by default, one with a GPU that works."""
    works = {
        "starts": True,
        "trouble": None,
        "version": "2.21.0",
        "cuda": "12.5.1",
        "cudnn": "9",
        "capabilities": ["sm_60", "sm_80", "compute_90"],
        "libraries": NEEDED,
        "devices": {"CPU:0": None, "GPU:0": None},
    }
    gpus = [{"name": "NVIDIA H200", "memory_bytes": 2**37, "capability": "9.0"}]
    good = {"installed": "2.21.0", "needed": ">=2.21", "state": "good"}
    return {
        "imgcls": "0.1",
        **_machine.machine(),
        "packages": {"tensorflow": good} if packages is None else packages,
        "tensorflow": works | (tensorflow or {}),
        "driver": {"cards": cards, "version": "550.54.14", "cuda": "12.4", "gpus": gpus, "trouble": None}
        | (driver or {}),
        "libraries": _libraries.libraries(NEEDED, load=lambda name: None) if libraries is None else libraries,
        "environment": {"CUDA_VISIBLE_DEVICES": hidden},
        "extras": extras or {},
    }


UNSEEN = {"devices": {"CPU:0": None}}
NO_DRIVER = {"version": None, "cuda": None, "gpus": [], "trouble": f"libcuda.so.1: {ABSENT}"}
BEGIN = "There is an NVIDIA GPU, and TensorFlow does not see it"


def without(*names):
    return _libraries.libraries(NEEDED, load=lambda name: absent(name) if name in names else None)


def test_a_machine_on_which_all_is_well():
    assert _findings.findings(facts()) == []


def test_a_machine_without_a_gpu():
    assert _findings.findings(facts(driver=NO_DRIVER, tensorflow=UNSEEN, cards=0, libraries=without(*NEEDED))) == []


@pytest.mark.parametrize(
    ("machine", "what", "fix"),
    [
        (
            {"driver": NO_DRIVER},
            "There is an NVIDIA GPU, and no driver for it.",
            "Install NVIDIA's driver for your system, restart, and look whether `nvidia-smi` lists the GPU.",
        ),
        (
            {"driver": {"version": "470.1", "cuda": "11.4"}},
            f"{BEGIN}: the driver 470.1 runs CUDA 11.4, and TensorFlow was built for 12.5.1.",
            "Install a newer driver of NVIDIA: 525 or above.",
        ),
        (
            {"driver": {"cuda": None, "trouble": "libcuda.so.1: no"}},
            f"{BEGIN}: its driver's library cannot be loaded: libcuda.so.1: no.",
            "Install NVIDIA's driver anew; in a container, start it with GPUs, such as `docker run --gpus all`.",
        ),
        (
            {"libraries": without("libcudnn.so.9")},
            f"{BEGIN}: libcudnn.so.9 cannot be opened (libcudnn.so.9: {ABSENT}).",
            'pip install "imgcls[gpu]"',
        ),
        ({"hidden": "-1"}, f"{BEGIN}: CUDA_VISIBLE_DEVICES='-1' hides it.", "Unset it: unset CUDA_VISIBLE_DEVICES"),
        ({"hidden": ""}, f"{BEGIN}: CUDA_VISIBLE_DEVICES='' hides it.", "Unset it: unset CUDA_VISIBLE_DEVICES"),
        (
            {"tensorflow": UNSEEN | {"cuda": None}},
            f"{BEGIN}: this TensorFlow was built without CUDA.",
            'NVIDIA GPUs need Linux, or WSL 2 under Windows, and there: pip install "imgcls[gpu]"',
        ),
        (
            {"driver": {"gpus": [{"name": "GTX 980", "memory_bytes": None, "capability": "5.2"}]}},
            f"{BEGIN}: GTX 980 has compute capability 5.2, and TensorFlow was built for 6.0 and above.",
            "Use a newer GPU. This one serves with the TensorFlow of its time.",
        ),
        (
            {},
            f"{BEGIN}, although driver and libraries are there.",
            "Read what TensorFlow says: IMGCLS_TENSORFLOW_LOG=1 imgcls doctor",
        ),
    ],
    ids=["no driver", "old driver", "no libcuda", "no cudnn", "hidden", "hidden all", "no CUDA", "old GPU", "unknown"],
)
def test_a_gpu_that_tensorflow_does_not_see_is_explained(machine, what, fix):
    (found,) = _findings.findings(facts(**{"tensorflow": UNSEEN} | machine))
    assert found == (what, fix, False)


def test_a_library_where_tensorflow_does_not_look(tmp_path):
    (tmp_path / "libcusolver.so.11").touch()
    log = LOG.replace("libnvJitLink.so.12", "libcusolver.so.11")
    libraries = _libraries.libraries(["libcusolver.so.11"], log, folders=[tmp_path], load=lambda path: None)
    (found,) = _findings.findings(facts(tensorflow=UNSEEN, libraries=libraries))
    assert found.what == f"{BEGIN}: libcusolver.so.11 is installed, and TensorFlow does not look where pip has put it."
    assert found.fix == f'Tell it where: export LD_LIBRARY_PATH="{tmp_path}:$LD_LIBRARY_PATH"'


def test_several_missing_libraries_are_named_once_each():
    (found,) = _findings.findings(facts(tensorflow=UNSEEN, libraries=without("libcublas.so.12", "libcudnn.so.9")))
    assert found.what.startswith(f"{BEGIN}: libcublas.so.12, libcudnn.so.9 cannot be opened (")


@pytest.mark.parametrize(
    ("machine", "what", "fix"),
    [
        (
            {"packages": {"keras": {"installed": "3.8.0", "needed": ">=3.15.1", "state": "too old"}}},
            "keras 3.8.0 is installed; needed: >=3.15.1.",
            'pip install "keras>=3.15.1"',
        ),
        (
            {"packages": {"h5py": {"installed": None, "needed": ">=3.11", "state": "missing"}}},
            "h5py is missing; needed: >=3.11.",
            'pip install "h5py>=3.11"',
        ),
        (
            {"tensorflow": {"starts": False, "trouble": "ImportError: no AVX"}},
            "TensorFlow does not start: ImportError: no AVX",
            "Do what it says. Where it says nothing clear, install it anew: pip install --force-reinstall tensorflow",
        ),
        (
            {"tensorflow": {"devices": {"CPU:0": None, "GPU:0": "DNN library is not found"}}},
            "TensorFlow does not compute on GPU:0: DNN library is not found",
            (
                'Install libraries and driver that fit each other: pip install "imgcls[gpu]", and NVIDIA\'s newest driver. Until '
                "then train on the CPU: export CUDA_VISIBLE_DEVICES=-1"
            ),
        ),
        (
            {"tensorflow": {"devices": {"CPU:0": "no"}}, "cards": 0, "driver": NO_DRIVER},
            "TensorFlow does not compute on CPU:0: no",
            "Install TensorFlow anew: pip install --force-reinstall tensorflow",
        ),
    ],
)
def test_what_training_needs(machine, what, fix):
    assert _findings.findings(facts(**machine)) == [(what, fix, True)]


def test_an_extra_below_its_floor_is_named_and_what_is_needed_comes_first():
    extras = {
        "onnx": {"packages": {"onnx": {"installed": "1.0", "needed": ">=1.23", "state": "too old"}}, "install": "pip"}
    }
    packages = {"h5py": {"installed": None, "needed": ">=3.11", "state": "missing"}}
    found = _findings.findings(facts(extras=extras, packages=packages))
    assert [one.what for one in found] == [
        "h5py is missing; needed: >=3.11.",
        "imgcls[onnx]: onnx 1.0 is installed; needed: >=1.23.",
    ]
    assert [one.needed for one in found] == [True, False]


def test_a_python_in_which_imgcls_is_not_installed():
    (found,) = _findings.findings(facts(packages={}))
    assert found.what.startswith("imgcls is not installed in this Python")
    assert not found.needed


# --- what is printed -----------------------------------------------------------------------------------------------


def rows(facts):
    return {row.name: (row.words, row.state) for section in _sections.sections(facts) for row in section.rows}


def test_rows_of_a_gpu_with_a_missing_library():
    shown = rows(facts(tensorflow=UNSEEN, libraries=without("libcudnn.so.9")))
    assert shown["NVIDIA driver"] == ("550.54.14, runs CUDA up to 12.4", "")
    assert shown["nvidia-smi 0"] == ("NVIDIA H200, 128.0 GiB, capability 9.0", "")
    assert shown["libcudnn.so.9"] == (f"libcudnn.so.9: {ABSENT}", "poor")
    assert shown["libcudart.so.12"] == ("opens", "good")
    assert shown["CPU:0"] == ("computes", "good")


def test_rows_without_a_gpu_name_no_libraries():
    shown = rows(facts(driver=NO_DRIVER, tensorflow=UNSEEN, cards=0, libraries=without(*NEEDED)))
    assert shown["NVIDIA driver"] == ("none", "")
    assert not set(NEEDED) & set(shown)


@pytest.mark.parametrize("name", ["aws", "colab", "gpu"])
def test_pages_send_to_lines_and_sections_that_are_printed(name):
    page = (Path(__file__).parents[1] / "docs" / "how-to" / f"{name}.md").read_text(encoding="utf-8")
    printed = _sections.sections(facts(packages=_packages.packages()))
    lines = {row.name for section in printed for row in section.rows}
    named = re.findall(r"\blines?\s`([^`]+)`(?:\sand\s`([^`]+)`)?", page)
    assert {one for several in named for one in several if one} <= lines
    parts = re.findall(r"\bsection\s`([^`]+)`", page)
    assert parts
    assert set(parts) <= {section.title for section in printed}


def test_rows_of_packages_extras_and_a_tensorflow_that_does_not_start():
    find = shop(numpy="1.0", onnx="1.23")
    shown = rows(
        facts(
            packages=_packages.packages(find),
            extras=_packages.extras(find),
            tensorflow={"starts": False, "trouble": "no AVX"},
        )
    )
    assert shown["numpy"] == ("too old: 1.0, needed: >=2.0", "bad")
    assert shown["tensorflow"] == ("missing, needed: >=2.21", "bad")
    assert shown["starts"] == ("no: no AVX", "bad")
    assert shown["onnx"] == ('missing: tf2onnx. pip install "imgcls[onnx]"', "poor")
    assert shown["tables"] == ('not installed. pip install "imgcls[tables]"', "")


def test_a_limit_of_memory_is_said_where_it_is_lower():
    machine = facts()
    machine["memory"] = {"total_bytes": 2**34, "available_bytes": 2**33, "limit_bytes": 2**31}
    assert rows(machine)["memory"][0] == "16.0 GiB, 8.0 GiB available; this process may take 2.0 GiB"
    machine["memory"]["limit_bytes"] = 2**35
    assert rows(machine)["memory"][0] == "16.0 GiB, 8.0 GiB available"


def test_memory_that_the_system_does_not_tell_is_not_made_up(monkeypatch):
    """As on macOS, which says what there is; and on Windows, which says nothing where we ask."""
    monkeypatch.setattr(_memory, "_of_machine", lambda root, name: None)
    for total, words in ((2**34, "16.0 GiB, available: not known"), (None, "not known")):
        monkeypatch.setattr(_memory, "_by_sysconf", lambda total=total: total)
        told = facts() | {"memory": _machine.machine()["memory"] | {"limit_bytes": None}}
        assert told["memory"] == {"total_bytes": total, "limit_bytes": None, "available_bytes": None}
        assert rows(told)["memory"] == (words, "")


def test_exit_code_1_where_something_needed_is_broken(monkeypatch):
    broken = facts(tensorflow={"starts": False, "trouble": "ImportError: no AVX"})
    monkeypatch.setattr(_doctor, "gathered", lambda: broken)
    result = CliRunner().invoke(cli.app, ["doctor"])
    assert result.exit_code == 1
    assert (
        "\nimgcls cannot train here.\nTensorFlow does not start: ImportError: no AVX\n  Do what it says."
        in result.stdout
    )
    told = CliRunner().invoke(cli.app, ["doctor", "--json"])
    assert told.exit_code == 1
    answer = json.loads(told.stdout)
    assert answer["works"] is False
    assert [one["needed"] for one in answer["findings"]] == [True]


def test_a_gpu_that_is_not_used_is_named_and_no_failure(monkeypatch):
    monkeypatch.setattr(_doctor, "gathered", lambda: facts(tensorflow=UNSEEN, libraries=without("libcudnn.so.9")))
    result = CliRunner().invoke(cli.app, ["doctor"])
    assert result.exit_code == 0
    assert (
        "\nimgcls can train here.\nThere is an NVIDIA GPU, and TensorFlow does not see it: libcudnn.so.9"
        in result.stdout
    )
    assert result.stdout.endswith('  pip install "imgcls[gpu]"\n')


@pytest.mark.slow
def test_this_machine(monkeypatch, tmp_path):
    """TensorFlow is asked for real, in a working folder whose files must not be taken for modules."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise SystemExit('a file of the working folder was run')")
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('a file of the working folder was run')")
    result = CliRunner().invoke(cli.app, ["doctor", "--json"])
    told = json.loads(result.stdout)
    assert told["works"] is True, told["findings"]
    assert result.exit_code == 0
    assert told["imgcls"] == imgcls.__version__
    assert told["tensorflow"]["devices"]["CPU:0"] is None
    assert told["tensorflow"]["version"] == told["packages"]["tensorflow"]["installed"]
    assert told["disks"]["working"]["path"] == str(tmp_path)
    if told["tensorflow"]["cuda"] is not None:  # on Linux
        assert [name.split(".so.")[0] for name in told["tensorflow"]["libraries"]] == [
            name.split(".so.")[0] for name in NEEDED
        ]
        assert set(told["libraries"]) == set(told["tensorflow"]["libraries"])
    documented = {"works", "findings", "imgcls", "python", "platform", "cores", "memory", "disks", "packages"}
    documented |= {"tensorflow", "driver", "libraries", "environment", "extras"}
    assert set(told) == documented


def test_a_device_that_does_not_compute_is_said_to_be_one():
    from imgcls._backend import _gpu

    assert _gpu._trouble("CPU:0") is None
    assert _gpu._trouble("GPU:77") == "TensorFlow computes on CPU:0 instead"  # which it does without a word
    assert "MALFORMED" in _gpu._trouble("MALFORMED")
    assert _gpu.needed_libraries(Path("nowhere")) == []


def test_of_an_extra_that_lacks_much_a_few_packages_are_named():
    lacking = {name: {"installed": None, "needed": "any", "state": "missing"} for name in "abcdef"}
    extra = {"state": "incomplete", "packages": lacking, "install": 'pip install "imgcls[dev]"'}
    words = 'missing: a, b, c, d and 2 more. pip install "imgcls[dev]"'
    assert _sections._extra("dev", extra) == ("dev", words, "poor")
