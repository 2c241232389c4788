"""Run tools in forks of one process that has imported their libraries: ``python server.py SOCKET``.

The imports take longer than most runs of a tool in the tests. The process imports the libraries, and ``mmwsss`` itself
without its parts, when the first request arrives; each tool imports the parts that it needs, so that a missing import
is found. The server ends when its standard input is closed, and kills what is still running.
"""

import atexit
import faulthandler
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import warnings
from typing import NamedTuple, NoReturn, Optional

LIBRARIES = ('mmwsss', 'torch._dynamo', 'torch.distributed.run', 'mmseg.apis', 'mmseg.datasets', 'mmseg.engine',
             'mmseg.evaluation', 'mmseg.models', 'mmseg.visualization', 'mmpretrain.apis', 'mmpretrain.models',
             'matplotlib.pyplot', 'pandas', 'rich.progress', 'scipy.ndimage', 'jinja2', 'psutil')

HARMLESS = ('COLUMNS', 'FORCE_COLOR', 'LINES', 'LOCAL_RANK', 'LOCAL_WORLD_SIZE', 'OLDPWD', 'PWD', 'PYTHON',
            'PYTHONPATH', 'PYTHONUNBUFFERED', 'PYTHONWARNINGS', 'RANK', 'SHLVL', 'WORLD_SIZE', '_')
HARMLESS_PREFIXES = ('GROUP_', 'KMP_', 'MASTER_', 'MMWSSS_', 'PYTEST_', 'ROLE_', 'TORCHELASTIC_', 'TORCH_NCCL_')
"""Environment variables that no library reads while it is imported. If others differ from those of the server, a tool
runs in a process of its own."""

SHOW_AFTER = 300
"""int: A tool that runs for so many seconds shows where it is; ``run_tool`` ends it after ten minutes."""


class Request(NamedTuple):
    """A tool to run: its path and arguments, working folder, environment, and whether its output is unbuffered."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    unbuffered: bool


class Run(NamedTuple):
    """A running tool: its process and the connection to the process that it stands for."""

    pid: int
    pidfd: int
    connection: socket.socket


class Server:
    """Accept requests, fork a process for each, pass signals to it and its exit code back."""

    def __init__(self, path: str) -> None:
        self.folder = os.path.dirname(os.path.abspath(path))
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.selector.register(0, selectors.EVENT_READ, self.close)
        self.runs: dict[int, Run] = {}
        self.started_with = dict(os.environ)
        self.warm = False

    def serve(self) -> Request:
        """Return in a forked process, with the tool that it is to run."""
        while True:
            for key, _ in self.selector.select():
                request = key.data()
                if request is not None:
                    return request

    def accept(self) -> Optional[Request]:
        """Fork a process for the tool that a connection asks for; return the request in the forked process."""
        connection, _ = self.listener.accept()
        request, streams = receive(connection)
        self.import_libraries()
        if request is None or not self.fits(request):
            self.answer(connection, b'n')
            connection.close()
        else:
            pid = os.fork()
            if pid == 0:
                self.leave(connection, streams)
                return request
            own_group(pid)
            run = Run(pid, os.pidfd_open(pid), connection)
            self.runs[pid] = run
            self.selector.register(run.pidfd, selectors.EVENT_READ, lambda: self.finish(run))
            self.selector.register(connection, selectors.EVENT_READ, lambda: self.forward(run))
            self.answer(connection, b'y')
        for stream in streams:
            os.close(stream)
        return None

    def fits(self, request: Request) -> bool:
        """Return whether a new process with the environment of the request would import the same.

        Libraries set variables while they are imported, in the process of the test as in this one.
        """
        here, there = self.started_with, request.environment
        differing = {name for name in here.keys() | there.keys()
                     if there.get(name) not in (here.get(name), os.environ.get(name))}
        warned = there.get('PYTHONWARNINGS', 'ignore') == 'ignore'
        return warned and all(name in HARMLESS or name.startswith(HARMLESS_PREFIXES) for name in differing)

    def import_libraries(self) -> None:
        """Import what the tools share, once; what cannot be imported here is left to the tools."""
        if self.warm:
            return
        self.warm = True
        for name in LIBRARIES:
            try:
                importlib.import_module(name)
            except Exception:
                continue
        if sys.dont_write_bytecode:  # or every tool would compile the package anew
            sys.dont_write_bytecode, sys.pycache_prefix = False, self.folder
        gc.collect()
        gc.freeze()

    def leave(self, connection: socket.socket, streams: list[int]) -> None:
        """Turn a forked process into that of the tool: its streams, and nothing of the server."""
        own_group(0)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        for run in self.runs.values():
            os.close(run.pidfd)
            run.connection.close()
        connection.close()
        self.listener.close()
        self.selector.close()

    def forward(self, run: Run) -> None:
        """Send the signals that the other process got to the tool, or kill the tool if that process was killed."""
        numbers = run.connection.recv(64)
        if not numbers:
            self.selector.unregister(run.connection)
            kill(run.pid)
        for number in numbers:
            os.kill(run.pid, number)

    def finish(self, run: Run) -> None:
        """Pass the exit code on."""
        _, status = os.waitpid(run.pid, 0)
        self.selector.unregister(run.pidfd)
        if run.connection in (key.fileobj for key in self.selector.get_map().values()):
            self.selector.unregister(run.connection)
        self.answer(run.connection, os.waitstatus_to_exitcode(status).to_bytes(4, 'big', signed=True))
        run.connection.close()
        os.close(run.pidfd)
        del self.runs[run.pid]

    def close(self) -> None:
        """Kill what runs and end."""
        for pid in self.runs:
            kill(pid)
        sys.exit()

    @staticmethod
    def answer(connection: socket.socket, message: bytes) -> None:
        """Send an answer, unless nobody waits for it any more."""
        try:
            connection.sendall(message)
        except OSError:
            return


def own_group(pid: int) -> None:
    """Give a tool a process group, so that what it starts can be killed with it; both processes see to it."""
    try:
        os.setpgid(pid, 0)
    except OSError:
        return


def kill(pid: int) -> None:
    """Kill a tool and what it has started, if it is still there."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def receive(connection: socket.socket) -> tuple[Optional[Request], list[int]]:
    """Return the request and the standard streams of a connection, or None if it was broken off."""
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile('rb', buffering=0) as file:
        message = b''
        length = int.from_bytes(size, 'big')
        while len(message) < length and (part := file.read(length - len(message))):
            message += part
    whole = len(size) == 8 and len(message) == length and len(streams) == 3
    return Request(**json.loads(message)) if whole else None, list(streams)


def run(request: Request, base_path: list[str]) -> None:
    """Run a tool as the main program."""
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    if 'MMWSSS_LAUNCHER' in os.environ:  # a distributed run watches its parent: here, the server
        os.environ['MMWSSS_LAUNCHER'] = str(os.getppid())
    if 'PYTHONWARNINGS' in os.environ:
        warnings.simplefilter('ignore')
    if request.unbuffered:
        sys.stdout.reconfigure(write_through=True)
        sys.stderr.reconfigure(write_through=True)
    faulthandler.dump_traceback_later(SHOW_AFTER)
    importlib.import_module('numpy').random.seed()
    path = list(filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep)))
    script = request.arguments[0]
    sys.path[:] = [os.path.dirname(os.path.realpath(script)), *path, *base_path]
    sys.argv = request.arguments
    code = 0
    try:
        runpy.run_path(script, run_name='__main__')
    except SystemExit as end:
        if not isinstance(end.code, (int, type(None))):
            raise
        code = end.code or 0
    end_process(code)


def end_process(code: int) -> NoReturn:
    """End as Python does, except that the imported modules are not taken down, which takes as long as many tools."""
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        code = 120
    os._exit(code & 255)


if __name__ == '__main__':
    own = os.environ.get('PYTHONPATH', '').split(os.pathsep)
    base = [folder for folder in sys.path[1:] if folder not in own]
    run(Server(sys.argv[1]).serve(), base)
