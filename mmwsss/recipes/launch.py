"""The commands that a user would type, with as many processes as the machine is good for."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

from mmengine.device import get_device

__all__ = ['Tools', 'cfg_option_words', 'num_processes', 'run_command', 'shown_command', 'shown_path']

Words = list[str]


def num_processes(gpus: Optional[int] = None) -> int:
    """Number of processes of a training here: the GPUs asked for, one without, two on a CPU of several cores.

    Two processes of one thread each are faster on a CPU than one of two threads; the global batch is the same.

    Args:
        gpus: What the command line asks for.

    Raises:
        ValueError: It asks for less than one.
    """
    if gpus is not None:
        if gpus < 1:
            raise ValueError(f'--gpus must be 1 or more, got {gpus}')
        return gpus
    return 2 if get_device() == 'cpu' and (os.cpu_count() or 1) > 1 else 1


def shown_path(path: Union[str, os.PathLike]) -> str:
    """Word a path as short as it may be typed in the working folder."""
    path, here = Path(path), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def shown_command(words: Sequence[str]) -> str:
    """Word a command for a shell."""
    return shlex.join(words)


def cfg_option_words(options: dict) -> Words:
    """Give the flag ``--cfg-options`` for these overrides; nothing without any.

    Args:
        options: Values by dotted key; lists and tuples of numbers, strings, booleans and None.

    Raises:
        ValueError: A value is a dictionary, which the flag cannot express.
    """
    words = [f'{key}={_option_value(key, value)}' for key, value in options.items()]
    return ['--cfg-options', *words] if words else []


def _option_value(key: str, value: object) -> str:
    if isinstance(value, dict):
        raise ValueError(f'cfg_options: {key} is a dictionary: give its parts dotted keys, {key}.<part>=...')
    if isinstance(value, (list, tuple)):
        return '[' + ','.join(_option_value(key, item) for item in value) + ']'
    return str(value)


class Tools:
    """Words of the package's tools.

    Args:
        root: The folder in which ``tools/`` lies: the repository, or ``.mim`` of an installed package.
        processes: How many of them run a training, a test and the writing of labels.
    """

    def __init__(self, root: Path, processes: int = 1) -> None:
        self.root = root
        self.processes = processes

    def script(self, name: str) -> str:
        """Word the path of ``tools/<name>``.

        Raises:
            FileNotFoundError: There is no such tool.
        """
        path = self.root / 'tools' / name
        if not path.is_file():
            raise FileNotFoundError(f'no tool {path}')
        return shown_path(path)

    def single(self, name: str, *words: object) -> Words:
        """One process of a tool, a Python file or a shell script."""
        return ['bash' if name.endswith('.sh') else 'python', self.script(name), *map(str, words)]

    def train(self, config: str, *flags: object) -> Words:
        """``train.py``, by ``dist_train.sh`` where there are several processes."""
        if self.processes == 1:
            return self.single('train.py', config, *flags)
        return self.single('dist_train.sh', config, self.processes, *flags)

    def test(self, config: str, checkpoint: str, *flags: object) -> Words:
        """``test.py``, by ``dist_test.sh`` where there are several processes."""
        if self.processes == 1:
            return self.single('test.py', config, checkpoint, *flags)
        return self.single('dist_test.sh', config, checkpoint, self.processes, *flags)

    def spread(self, name: str, *words: object) -> Words:
        """A tool that has ``--launcher`` but no script that starts it."""
        if self.processes == 1:
            return self.single(name, *words)
        launch = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(self.processes)]
        return ['python', *launch, self.script(name), *map(str, words), '--launcher', 'pytorch']

    def batch_options(self, batch_size: int) -> dict:
        """Give the override that keeps the global batch; none for a single process.

        Raises:
            ValueError: The batch cannot be divided.
        """
        if batch_size % self.processes:
            raise ValueError(f'a batch of {batch_size} images cannot be spread over {self.processes} processes: '
                             '--gpus must divide it')
        return {} if self.processes == 1 else {'train_dataloader.batch_size': batch_size // self.processes}


def run_command(words: Sequence[str], keep_open: Sequence[int] = ()) -> int:
    """Run a command to its end; what interrupts this process ends the command and all it has started.

    Args:
        words: The first is ``python``, which stands for the interpreter of this process, or ``bash``.
        keep_open: Files that the command inherits.

    Returns:
        int: Exit status.
    """
    program = sys.executable if words[0] == 'python' else words[0]
    environment = {'PYTHON': sys.executable, 'PYTHONWARNINGS': 'ignore', **os.environ}
    with subprocess.Popen([program, *words[1:]], env=environment, start_new_session=True,
                          pass_fds=tuple(keep_open)) as process:
        try:
            return process.wait()
        except BaseException:
            _end_group(process)
            raise


def _end_group(process: subprocess.Popen) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=15)
            return  # what it has started got the signal too, and may need a moment longer
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
