"""A warm process that runs the tools that tests call, see ``server.py``; :func:`start_server` starts it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Optional

FOLDER = Path(__file__).resolve().parent
VARIABLE = 'MMWSSS_FORK_SERVER'
"""str: Environment variable with the server's socket. If it is set and empty, every tool has a process of its own."""


def warm_path() -> str:
    """Return the ``PYTHONPATH`` of processes whose tools the server is to run, with the package of this repository."""
    return os.pathsep.join(filter(None, [str(FOLDER), str(FOLDER.parents[1]), os.environ.get('PYTHONPATH')]))


def start_server() -> Optional[Callable[[], None]]:
    """Start the server and set :data:`VARIABLE`, unless it is set or the system is without process descriptors.

    The server imports nothing until the first tool is run.

    Returns:
        callable: Ends the server and what it still runs. None if no server was started.
    """
    if VARIABLE in os.environ or not hasattr(os, 'pidfd_open'):
        return None
    folder = tempfile.mkdtemp(prefix='mmwsss-')
    path = os.path.join(folder, 'socket')
    paths = os.pathsep.join(filter(None, [str(FOLDER.parents[1]), os.environ.get('PYTHONPATH')]))
    process = subprocess.Popen(
        [sys.executable, str(FOLDER / 'server.py'), path], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': paths},
        start_new_session=True)
    while not os.path.exists(path) and process.poll() is None:
        time.sleep(0.01)
    os.environ[VARIABLE] = path

    def stop() -> None:
        os.environ.pop(VARIABLE, None)
        process.stdin.close()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)

    return stop
