"""The dashboard's front page of 5,000 roots: made here, drawn and filtered in Chromium."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from driftfleet.report.edition import Edition
from driftfleet.report.front import front_page
from tests.browser import chromium
from tests.fleets import AT, days_of, fleet_of, write_site
from tests.page_speed import page_speed

TARGET_SECONDS, TARGET_BYTES, TARGET_FILTER_SECONDS = 2.0, 3_000_000, 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roots", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    fleet = fleet_of(arguments.roots)
    days = days_of(fleet)
    started = time.perf_counter()
    front_page(fleet, days, Edition(AT))
    print(f"{len(fleet.roots)} roots, {time.perf_counter() - started:.2f} s in Python")
    is_met = True
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        page = write_site(Path(folder), fleet, days)
        for run in range(arguments.runs):
            for flat in (False, True):
                speed = page_speed(browser, page, flat=flat)
                is_met &= (
                    speed.drawn_seconds <= TARGET_SECONDS
                    and speed.page_bytes <= TARGET_BYTES
                    and speed.slowest_filter_seconds <= TARGET_FILTER_SECONDS
                )
                print(f"run {run + 1}, {'no groups' if flat else 'groups'}: {speed}")
    print(f"target 2 s, 3 MB, 100 ms: {'met' if is_met else 'MISSED'}")
    return not is_met


if __name__ == "__main__":
    sys.exit(main())
