"""Build the command lines of the package's tools and run them as child processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Protocol, TextIO, Union

from mmengine.device import get_device

__all__ = [
    'ToolCommands', 'cfg_options_arguments', 'default_num_processes', 'relative_path', 'run_command', 'tools_folder'
]

Command = list[str]

_PACKAGE = Path(__file__).resolve().parents[1]

DIST_SCRIPTS = {'train.py': 'dist_train.sh', 'test.py': 'dist_test.sh'}
"""dict: Scripts that start several processes of a tool; they take their number after the other positional arguments."""

POLL_SECONDS = 0.2
GRACE_SECONDS = 60


def tools_folder() -> Path:
    """Return the folder of the tools: in the installed package or, beside it, in the repository.

    Raises:
        FileNotFoundError: There is neither.
    """
    for folder in (_PACKAGE / '.mim/tools', _PACKAGE.parent / 'tools'):
        if (folder / 'train.py').is_file():
            return folder
    raise FileNotFoundError(f'the tools of mmwsss are neither in {_PACKAGE}/.mim nor in {_PACKAGE.parent}: install '
                            'mmwsss again')


def default_num_processes(gpus: Optional[int] = None) -> int:
    """Return the number of processes for training, testing and labeling on this machine.

    It is ``gpus`` if given. Otherwise it is 1, but 2 on a CPU with several cores, where two processes of one thread
    each are faster than one process of two threads.

    Args:
        gpus (int, optional): The number that the user asked for.

    Raises:
        ValueError: ``gpus`` is less than 1.
    """
    if gpus is not None:
        if gpus < 1:
            raise ValueError(f'--gpus must be 1 or more, got {gpus}')
        return gpus
    return 2 if get_device() == 'cpu' and (os.cpu_count() or 1) > 1 else 1


def relative_path(path: Union[str, os.PathLike]) -> str:
    """Return a path relative to the working folder if it lies below it, and unchanged otherwise."""
    path, here = Path(path), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def cfg_options_arguments(options: dict) -> Command:
    """Return the arguments ``--cfg-options KEY=VALUE ...``, or none if there are no options.

    Args:
        options (dict): Values by dotted key: numbers, strings, booleans, None, or lists and tuples of these.

    Raises:
        ValueError: A value is a dictionary, which the flag cannot express.
    """
    pairs = [f'{key}={_option_text(key, value)}' for key, value in options.items()]
    return ['--cfg-options', *pairs] if pairs else []


def _option_text(key: str, value: Any) -> str:
    if isinstance(value, dict):
        raise ValueError(f'cfg_options: {key} is a dictionary; set its entries by dotted keys, {key}.<entry>=...')
    if isinstance(value, (list, tuple)):
        return '[' + ','.join(_option_text(key, item) for item in value) + ']'
    return str(value)


class ToolCommands:
    """Build commands that run the tools in ``tools/``.

    Args:
        root (Path): Folder that contains ``tools/``: the repository, or ``.mim`` of the installed package.
        num_processes (int): Number of processes of distributed commands. Defaults to 1.
    """

    def __init__(self, root: Path, num_processes: int = 1) -> None:
        self.root = root
        self.num_processes = num_processes

    def script_path(self, name: str) -> str:
        """Return the path of ``tools/<name>``.

        Raises:
            FileNotFoundError: There is no such tool.
        """
        path = self.root / 'tools' / name
        if not path.is_file():
            raise FileNotFoundError(f'no tool {path}')
        return relative_path(path)

    def command(self, script: str, *arguments: Any, flags: Sequence[Any] = (), distributed: bool = False) -> Command:
        """Build the command that runs a tool.

        Args:
            script (str): Path of a Python or shell script, relative to ``tools/``.
            *arguments (Any): Positional arguments.
            flags (Sequence[Any]): The arguments after these.
            distributed (bool): Start ``num_processes`` processes of it, by ``dist_train.sh`` or ``dist_test.sh`` where
                one exists for the tool. Defaults to False.

        Returns:
            list[str]: The program, ``python`` or ``bash``, and its arguments.
        """
        words, options = [str(word) for word in arguments], [str(flag) for flag in flags]
        number = str(self.num_processes)
        if not distributed or self.num_processes == 1:
            program = 'bash' if script.endswith('.sh') else 'python'
            return [program, self.script_path(script), *words, *options]
        if script in DIST_SCRIPTS:
            return ['bash', self.script_path(DIST_SCRIPTS[script]), *words, number, *options]
        launcher = [self.script_path('launch.py'), '--standalone', '--nproc-per-node', number]
        return ['python', *launcher, self.script_path(script), *words, *options, '--launcher', 'pytorch']

    def batch_size_options(self, batch_size: int) -> dict[str, int]:
        """Return the config option that divides a batch among the processes, or none for a single process.

        Raises:
            ValueError: The batch cannot be divided evenly.
        """
        if batch_size % self.num_processes:
            raise ValueError(f'a batch of {batch_size} images cannot be divided among {self.num_processes} processes; '
                             'choose a --gpus that divides it')
        return {} if self.num_processes == 1 else {'train_dataloader.batch_size': batch_size // self.num_processes}


class Output(Protocol):
    """What a command's output can be copied to: a text file, or what acts as one."""

    def write(self, text: str, /) -> Any:
        """Take a part of the output."""

    def flush(self) -> Any:
        """Pass on what was written."""

    def isatty(self) -> bool:
        """Return whether the output is shown on a terminal."""


def run_command(command: Sequence[str],
                log_file: Optional[Path] = None,
                stream: Optional['Output'] = None,
                pass_fds: Sequence[int] = ()) -> int:
    """Run a command and wait until it ends.

    Whatever interrupts this process also ends the command, which has a minute to finish what it is at, and every
    process that it started.

    Args:
        command (Sequence[str]): The program and its arguments. ``python`` means the interpreter of this process.
        log_file (Path, optional): File to which the output of the command is appended. The command writes to the file
            itself, so that it goes on if this process is killed. Without a file, it shares the output of this process.
        stream (Output, optional): Where what is new in ``log_file`` is copied to while the command runs.
        pass_fds (Sequence[int]): File descriptors that the command inherits.

    Returns:
        int: The exit code of the command; negative if a signal ended it.
    """
    if log_file is None:
        return _run(command, None, None, None, pass_fds)
    with open(log_file, 'a', encoding='utf-8') as output, \
            open(log_file, encoding='utf-8', errors='replace', newline='') as log:
        log.seek(0, os.SEEK_END)
        return _run(command, output, log, stream, pass_fds)


def _run(command: Sequence[str], output: Optional[TextIO], log: Optional[TextIO], stream: Optional['Output'],
         pass_fds: Sequence[int]) -> int:
    program = sys.executable if command[0] == 'python' else command[0]
    environment = {'PYTHON': sys.executable, 'PYTHONUNBUFFERED': '1', **os.environ}
    if stream is not None and stream.isatty():
        environment.setdefault('FORCE_COLOR', '1')  # progress bars are drawn although the output is a file
    with subprocess.Popen([program, *command[1:]], env=environment, stdout=output,
                          stderr=subprocess.STDOUT if output else None, start_new_session=True,
                          pass_fds=tuple(pass_fds)) as process:
        try:
            while True:
                code = _wait(process, POLL_SECONDS if stream else None)
                if stream and log:
                    stream.write(log.read())
                    stream.flush()
                if code is not None:
                    return code
        except BaseException:
            _terminate_group(process)
            raise


def _wait(process: subprocess.Popen, timeout: Optional[float]) -> Optional[int]:
    """Return the exit code, or None if the process is still running after ``timeout`` seconds."""
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        return None


def _terminate_group(process: subprocess.Popen) -> None:
    """Send SIGTERM to a process, which finishes what it is at; then end all that is left of what it started."""
    try:
        process.terminate()
        _wait(process, GRACE_SECONDS)
    finally:  # the second signal to this process ends the wait
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                break
            if _wait_for_group(process.pid, 2):
                break
        process.wait()


def _wait_for_group(group: int, seconds: float) -> bool:
    """Return whether all processes of a group have ended, after at most this many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
