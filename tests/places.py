"""Files that would tell where, and by whom, they were made."""

import sys
from pathlib import Path


def naming(folder, root, user=None):
    """Files of a folder that name the repository's root, the environment, or somebody's home.

    A user's name is looked for as well where it is given: most are words that anything may hold.
    """
    places = {str(root), sys.prefix, f"{Path.home()}/", *([user] if user else [])}
    return [
        (path.relative_to(folder).as_posix(), place)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for place in sorted(places)
        if place.encode() in path.read_bytes()
    ]
