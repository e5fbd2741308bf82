"""What a machine, or a container on it, has left."""

import os
from pathlib import Path

import pytest

from worker.machine import ThisMachine, available_memory_bytes

MACHINE = 8_000_000 * 1024


class Kernel:
    """What /proc and the cgroups' file systems tell, below a folder."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.groups = folder / "cgroup fs"
        self.groups.mkdir(parents=True)
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "meminfo").write_text("MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n")
        self.place("0::/", root="/", kind="cgroup2 cgroup rw")

    def place(self, *lines: str, root: str = "/", kind: str) -> None:
        (self.proc / "self" / "cgroup").write_text("".join(f"{line}\n" for line in lines))
        point = str(self.groups).replace(" ", "\\040")
        (self.proc / "self" / "mountinfo").write_text(
            "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
            f"31 22 0:28 {root} {point} rw,relatime - {kind}\n"
        )

    def write(self, group: str, **values: object) -> None:
        folder = self.groups / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in values.items():
            (folder / f"memory.{name}").write_text(f"{value}\n")

    def available(self) -> int:
        return available_memory_bytes(self.proc)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def test_without_a_cgroup_it_is_what_the_machine_has(kernel: Kernel) -> None:
    assert kernel.available() == MACHINE


def test_a_containers_limit_counts_where_it_is_less(kernel: Kernel) -> None:
    # Within a container its own group looks like the top.
    kernel.write("", max="max", current=5, stat="anon 5\ninactive_file 0")
    assert kernel.available() == MACHINE
    kernel.write("", max=1000, current=400, stat="anon 400\ninactive_file 0")
    assert kernel.available() == 600


def test_what_was_read_of_files_and_is_in_no_use_is_free(kernel: Kernel) -> None:
    kernel.write("", max=1000, current=900, stat="anon 300\ninactive_file 500\nactive_file 100")
    assert kernel.available() == 600


def test_a_group_that_is_over_its_limit_has_nothing_left(kernel: Kernel) -> None:
    kernel.write("", max=1000, current=1200, stat="inactive_file 0")
    assert kernel.available() == 0


def test_of_nested_groups_the_narrowest_counts(kernel: Kernel) -> None:
    kernel.place("0::/pods/worker", kind="cgroup2 cgroup rw")
    kernel.write("pods", max=5000, current=4500, stat="inactive_file 0")
    kernel.write("pods/worker", max=2000, current=100, stat="inactive_file 0")
    assert kernel.available() == 500
    kernel.write("pods", max="max", current=4500, stat="inactive_file 0")
    assert kernel.available() == 1900


def test_version_1_has_other_names_and_counts_what_is_below(kernel: Kernel) -> None:
    kernel.place("4:cpu,memory:/a", "1:pids:/b", kind="cgroup cgroup rw,cpu,memory")
    kernel.write("", limit_in_bytes=2**63 - 4096, usage_in_bytes=10, stat="total_inactive_file 0")
    stat = "inactive_file 1\ntotal_inactive_file 50"
    kernel.write("a", limit_in_bytes=1000, usage_in_bytes=400, stat=stat)
    assert kernel.available() == 650


def test_a_controller_of_version_1_that_is_not_memorys_limits_no_memory(kernel: Kernel) -> None:
    kernel.place("4:memory:/a", "3:pids:/a", kind="cgroup cgroup rw,pids")
    kernel.write("a", limit_in_bytes=1000, usage_in_bytes=400, stat="total_inactive_file 0")
    assert kernel.available() == MACHINE


@pytest.mark.parametrize("path", ["/docker/abc", "/docker/abc/inner", "/elsewhere", "/../other"])
def test_a_mount_that_begins_at_the_containers_group_is_that_group(
    kernel: Kernel, path: str
) -> None:
    kernel.place(f"0::{path}", root="/docker/abc", kind="cgroup2 cgroup rw")
    kernel.write("", max=1000, current=400, stat="inactive_file 0")
    assert kernel.available() == 600


def test_this_machine_answers(tmp_path: Path) -> None:
    machine = ThisMachine()
    assert (
        0
        < machine.available_memory_bytes()
        < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    )
    disk = machine.disk(tmp_path / "not" / "yet" / "made")
    assert disk == machine.disk(tmp_path)
    assert 0 < disk.free_bytes <= disk.total_bytes
