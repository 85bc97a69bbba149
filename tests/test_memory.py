"""Memory, by files as Linux has them."""

import pytest

from imgcls import _memory

MACHINE = {"proc/meminfo": "MemTotal:  9000 kB\nMemFree: 1 kB\nMemAvailable:  7000 kB\n"}
VERSION_2 = {"proc/self/cgroup": "0::/\n"}
VERSION_1 = {"proc/self/cgroup": "5:devices:/\n4:memory:/docker/1\n0::/\n"}
TOP_1 = "sys/fs/cgroup/memory/memory"
LOW_1 = "sys/fs/cgroup/memory/docker/1/memory"


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_of_the_machine(tmp_path):
    root = tree(tmp_path, MACHINE)
    assert (_memory.total(root), _memory.limit(root)) == (9000 * 1024, None)
    assert _memory.free(root) == _memory.available(root) == 7000 * 1024


def test_where_the_system_says_less(tmp_path, monkeypatch):
    monkeypatch.setattr(_memory.os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.get, raising=False)
    assert (_memory.total(tmp_path), _memory.available(tmp_path)) == (4_096_000, 2_048_000)
    assert _memory.free(tmp_path) is None
    monkeypatch.setattr(_memory.os, "sysconf", lambda name: int("?"))
    assert (_memory.total(tmp_path), _memory.available(tmp_path)) == (None, 4 * 2**30)
    assert _memory.free(tmp_path) is None  # and nothing is made up


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({**VERSION_2, "sys/fs/cgroup/memory.max": "max\n"}, None),
        ({**VERSION_2, "sys/fs/cgroup/memory.max": "4096\n"}, 4096),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/memory.max": "2048\n",
                "sys/fs/cgroup/a/b/memory.max": "max\n",
                "sys/fs/cgroup/memory.max": "4096\n",
            },
            2048,
        ),
        (
            {**VERSION_1, f"{LOW_1}.limit_in_bytes": "1024", f"{TOP_1}.limit_in_bytes": "9223372036854771712"},
            1024,
        ),
    ],
    ids=["no groups", "no limit", "limit", "limit of a parent", "version 1"],
)
def test_the_limit_of_a_container(files, limit, tmp_path):
    assert _memory.limit(tree(tmp_path, files)) == limit


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({**VERSION_2, "sys/fs/cgroup/memory.max": "max", "sys/fs/cgroup/memory.current": "5000"}, 7000 * 1024),
        ({**VERSION_2, "sys/fs/cgroup/memory.max": "6000", "sys/fs/cgroup/memory.current": "5000"}, 1000),
        ({**VERSION_2, "sys/fs/cgroup/memory.max": "6000", "sys/fs/cgroup/memory.current": "7000"}, 0),
        ({**VERSION_1, f"{LOW_1}.limit_in_bytes": "6000", f"{LOW_1}.usage_in_bytes": "5000"}, 1000),
        # inside a container of version 1, whose own group is the top of what it sees
        ({**VERSION_1, f"{TOP_1}.limit_in_bytes": "6000", f"{TOP_1}.usage_in_bytes": "5000"}, 1000),
        (
            {
                **VERSION_2,
                "sys/fs/cgroup/memory.max": "6000",
                "sys/fs/cgroup/memory.current": "5000",
                "sys/fs/cgroup/memory.stat": "active_file 1\ninactive_file 3000\n",
            },
            4000,
        ),
        (
            {
                **VERSION_1,
                f"{LOW_1}.limit_in_bytes": "6000",
                f"{LOW_1}.usage_in_bytes": "5000",
                f"{LOW_1}.stat": "inactive_file 1\ntotal_inactive_file 3000\n",
            },
            4000,
        ),
    ],
    ids=["no limit", "limit", "nothing left", "version 1", "its top", "files that were read", "the same, version 1"],
)
def test_what_a_container_leaves(files, expected, tmp_path):
    root = tree(tmp_path, {**MACHINE, **files})
    assert _memory.free(root) == _memory.available(root) == expected
