"""The results of one root and variant by time: no more of them is listed than is wanted.

Their keys hold when they finished, and stores list in ascending order alone.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from os.path import commonprefix

from driftfleet.places import history_start
from driftfleet.store.objects import ObjectStore

_FIRST_WINDOW = timedelta(days=1)
_WIDER = 4
# With which every moment begins from the year 2000 on, and hardly a root's name: below the place of
# a variant may be another root's, and all its results.
_MILLENNIUM = "2"
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


def newest_first(
    objects: ObjectStore, place: str, newest: datetime, since: datetime
) -> Iterator[str]:
    """The keys of the place's results that finished at ``since`` or later, newest first.

    ``newest`` is about when the last of them finished. It is looked back from there by windows of
    time, each wider than the one before: where a day holds what is wanted, only it is listed.
    """
    since = max(since, BEGINNING)
    start, end, width = newest, "", _FIRST_WINDOW
    while not end or start > since:
        start = max(since, start - width)
        begins = history_start(place, start)
        yield from reversed(list(_between(objects, place, begins, end)))
        end, width = begins, width * _WIDER


def oldest_first(objects: ObjectStore, place: str, since: datetime) -> Iterator[str]:
    """The same keys, oldest first; listed as they are consumed."""
    return _between(objects, place, history_start(place, since), "")


def _between(objects: ObjectStore, place: str, begins: str, end: str) -> Iterator[str]:
    """The keys from ``begins`` on and before ``end``, where there is one."""
    folder = f"results/{place}/"
    # What all of them share is as much as a listing can be narrowed by.
    prefix = f"{folder}{_MILLENNIUM}"
    if end:
        prefix = commonprefix([begins, end])  # noqa: RUF071 - of characters, not of folders
    keys = objects.keys(prefix, after=begins)
    until = takewhile(lambda key: key < end, keys) if end else keys
    return (key for key in until if "/" not in key[len(folder) :])
