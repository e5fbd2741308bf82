"""Globs over folders, as settings have them."""

import fnmatch


def folder_matches(folder: str, glob: str) -> bool:
    """Whether ``glob`` matches the whole path of ``folder``; the repository's top is ``.``.

    It is read part by part, between slashes: ``**`` stands for any number of parts, none
    included; in a part ``*``, ``?`` and ``[...]`` mean what they mean in a shell. So ``modules``
    is that folder alone, ``modules/**`` it and all below it, ``envs/*/legacy`` one level between,
    ``**/legacy`` a folder of that name anywhere. A leading ``./`` and a trailing ``/`` don't count.
    """
    parts = [part for part in folder.split("/") if part != "."]
    wanted = [part for part in glob.split("/") if part not in ("", ".")]
    # The positions in the glob that are possible after each part: no backtracking.
    reached = _past_stars(wanted, {0})
    for part in parts:
        step = set()
        for position in reached:
            if position < len(wanted) and wanted[position] == "**":
                step.add(position)
            elif position < len(wanted) and fnmatch.fnmatchcase(part, wanted[position]):
                step.add(position + 1)
        reached = _past_stars(wanted, step)
    return len(wanted) in reached


def _past_stars(wanted: list[str], positions: set[int]) -> set[int]:
    reached = set()
    for position in positions:
        reached.add(position)
        while position < len(wanted) and wanted[position] == "**":
            position += 1  # noqa: PLW2901
            reached.add(position)
    return reached
