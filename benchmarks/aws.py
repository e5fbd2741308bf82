"""12 roots on the AWS provider against moto: `driftfleet scan` beside a loop of plans."""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Fleet, adopt_orphans, compare, cores, machine_facts, run_loop, table
from driftfleet.results import Verdict
from tests.e2e.aws import PROVIDER, Cloud, apply, find_mirror, running_cloud, write_root

TARGET = 0.8
CODE = """\
resource "aws_dynamodb_table" "items" {
  name                        = "NAME-items"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "id"
  deletion_protection_enabled = false

  attribute {
    name = "id"
    type = "S"
  }
}

resource "aws_s3_bucket" "logs" {
  bucket = "NAME-logs"
  tags   = { team = "platform" }
}
"""


def expected_verdicts(count: int) -> dict[str, Verdict]:
    """Of 12 roots 9 are clean, 2 drifted and 1 unapplied: only those need a `terraform show`."""
    every_sixth = {3: Verdict.DRIFTED, 9: Verdict.DRIFTED, 6: Verdict.UNAPPLIED}
    return {
        f"root-{number:02}": every_sixth.get(number % 12, Verdict.CLEAN) for number in range(count)
    }


def make_fleet(folder: Path, cloud: Cloud, expected: Mapping[str, Verdict]) -> None:
    """Apply every root, then change some outside Terraform and some in their code."""
    for name in expected:
        write_root(folder / name, CODE.replace("NAME", name))
    apply([folder / name for name in expected], cloud.environment)
    dynamodb = cloud.client("dynamodb")
    for name, verdict in expected.items():
        if verdict is Verdict.DRIFTED:
            dynamodb.update_table(TableName=f"{name}-items", DeletionProtectionEnabled=True)
        if verdict is Verdict.UNAPPLIED:
            write_root(folder / name, CODE.replace("NAME", name).replace("= false", "= true"))


def benchmark(base: Path, mirror: Path, roots: int, rounds: int, parallel: int) -> str:
    """Measure both and return the table."""
    with running_cloud(base, mirror) as cloud:
        fleet = Fleet(
            folder=base / "fleet",
            expected=expected_verdicts(roots),
            environment=cloud.environment,
            mirror=mirror,
            parallel=parallel,
        )
        make_fleet(fleet.folder, cloud, fleet.expected)
        warm_up(fleet, base / "w")
        costs = compare(fleet, base, rounds)
    return table(costs, f"xargs -P {parallel} init && plan", TARGET)


def warm_up(fleet: Fleet, leg: Path) -> None:
    """Read terraform and the provider into the page cache, so that who goes first pays nothing."""
    first = next(iter(fleet.expected))
    (leg / "t").mkdir(parents=True)
    (leg / "fleet").symlink_to(fleet.folder)
    run_loop(
        Fleet(
            folder=fleet.folder,
            expected={first: fleet.expected[first]},
            environment=fleet.environment,
            mirror=fleet.mirror,
            parallel=1,
        ),
        leg,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 1 where no mirror is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--roots", type=int, default=12)
    parser.add_argument("--parallel", type=int, default=cores())
    options = parser.parse_args(arguments)
    mirror = find_mirror()
    if mirror is None:
        print("no provider mirror with hashicorp/aws: name one in DRIFT_PROVIDER_MIRROR")
        return 1
    provider = ", ".join(sorted(path.name for path in (mirror / PROVIDER).iterdir()))
    adopt_orphans()
    print(f"{options.roots} roots, AWS provider {provider}, parallel {options.parallel}")
    print(machine_facts(), flush=True)
    with tempfile.TemporaryDirectory(prefix="df-") as base:
        print(benchmark(Path(base), mirror, options.roots, options.rounds, options.parallel))
    return 0


if __name__ == "__main__":
    sys.exit(main())
