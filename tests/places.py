"""Files that would tell where, and by whom, they were made."""

import sys
from pathlib import Path


def naming(folder, root, user=None):
    """Files of a folder that name the repository's root, the environment, or somebody's home.

    A user's name is looked for as well where it is given: most are words that anything may hold.
    """
    folders = {Path(root), Path(sys.prefix), Path.home()} - {Path("/")}
    places = [*(f"{place}/" for place in folders), *filter(None, [user])]
    return [
        (path.relative_to(folder).as_posix(), place)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for place in places
        if place.encode() in path.read_bytes()
    ]
