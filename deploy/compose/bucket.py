"""Makes the bucket of the profile ``dev``; one that is there stays."""

import os
import sys
import time

import boto3  # noqa: TID251 - a program of its own
from botocore.exceptions import BotoCoreError, ClientError

_PATIENCE_SECONDS = 60


def main() -> None:
    """Wait for the server, then make the bucket that ``DRIFTFLEET_RESULTS__STORE`` names."""
    name = os.environ["DRIFTFLEET_RESULTS__STORE"].removeprefix("s3://").partition("/")[0]
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            boto3.client("s3").create_bucket(Bucket=name)
        except (BotoCoreError, ClientError) as error:
            if "BucketAlreadyOwnedByYou" in str(error):
                break
            if time.monotonic() > until:
                sys.exit(f"the bucket {name} can't be made: {error}")
            time.sleep(1)
        else:
            break
    print(f"the bucket {name} is there")


if __name__ == "__main__":
    main()
