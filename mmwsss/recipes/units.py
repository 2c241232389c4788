"""What can be seen of a stage while it runs: the iterations that a log has come to, and the files that were written."""

import json
import os
from pathlib import Path
from typing import Optional

__all__ = ['count_files', 'logged_iterations']


def logged_iterations(work_dir: Path) -> Optional[int]:
    """Return the iteration of the last training line in the newest log of a run.

    Args:
        work_dir (Path): Folder of the run, with ``<time>/vis_data/scalars.json``.

    Returns:
        int, optional: None if there is no such line yet.
    """
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not logs:
        return None
    for line in reversed(logs[-1].read_text(encoding='utf-8').splitlines()):
        try:
            entry = json.loads(line)
        except ValueError:  # is being written
            continue
        if 'loss' in entry:
            return int(entry['step'])
    return None


def count_files(folder: Path, suffix: str, since: float = 0.) -> int:
    """Count the files in a folder and its subfolders.

    Args:
        folder (Path): The folder, which need not exist.
        suffix (str): End of their names.
        since (float): Time of modification, in seconds, before which files do not count. Defaults to 0, all files.
    """
    return sum(name.endswith(suffix) and not name.startswith('.') and (
        not since or os.path.getmtime(os.path.join(parent, name)) >= since)
        for parent, _, names in os.walk(folder) for name in names)
