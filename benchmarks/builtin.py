"""200 roots of built-in resources only, 0.1 s of terraform each: what the fleet itself costs."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Fleet, adopt_orphans, compare, cores, machine_facts, table
from driftfleet.results import Verdict
from tests.e2e.aws import apply, mirror_configuration, terraform_environment

TARGET = 1.4
SEED = "root-seed"
CODE = """\
resource "terraform_data" "first" {
  input = "root-seed"
}

resource "terraform_data" "second" {
  input = terraform_data.first.output
}
"""
UNAPPLIED_EVERY = 50


def make_fleet(folder: Path, count: int, environment: Mapping[str, str]) -> dict[str, Verdict]:
    """Apply one root and stamp the others from it: nothing of theirs is outside their state."""
    seed = folder / SEED
    seed.mkdir(parents=True)
    (seed / "main.tf").write_text(CODE)
    apply([seed], environment)
    expected = {}
    for number in range(count):
        name = f"root-{number:04}"
        unapplied = number % UNAPPLIED_EVERY == UNAPPLIED_EVERY - 1
        _stamp(seed, folder / name, name, "changed" if unapplied else name)
        expected[name] = Verdict.UNAPPLIED if unapplied else Verdict.CLEAN
    shutil.rmtree(seed)
    return expected


def _stamp(seed: Path, root: Path, applied: str, coded: str) -> None:
    root.mkdir()
    state = (seed / "terraform.tfstate").read_text()
    (root / "terraform.tfstate").write_text(state.replace(SEED, applied))
    (root / "main.tf").write_text(CODE.replace(SEED, coded))


def benchmark(base: Path, roots: int, rounds: int, parallel: int) -> str:
    """Measure both and return the table."""
    for name in ("home", "mirror"):
        (base / name).mkdir()
    configuration = base / "terraform.rc"
    configuration.write_text(mirror_configuration(base / "mirror"))
    environment = terraform_environment(base / "home", configuration)
    fleet = Fleet(
        folder=base / "fleet",
        expected=make_fleet(base / "fleet", roots, environment),
        environment=environment,
        mirror=None,
        parallel=parallel,
    )
    costs = compare(fleet, base, rounds)
    return table(costs, f"xargs -P {parallel} init && plan", TARGET)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--roots", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=cores())
    options = parser.parse_args(arguments)
    adopt_orphans()
    print(f"{options.roots} roots of built-in resources, parallel {options.parallel}")
    print(machine_facts(), flush=True)
    with tempfile.TemporaryDirectory(prefix="df-") as base:
        print(benchmark(Path(base), options.roots, options.rounds, options.parallel))
    return 0


if __name__ == "__main__":
    sys.exit(main())
