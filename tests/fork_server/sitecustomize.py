"""Hand a tool that Python is started with to the fork server of the tests, which spares it the imports.

Python imports this module at its start where the folder of the module is on ``PYTHONPATH``. A process that runs a
script of ``tools/``, or ``call.py``, then passes its arguments, environment, working folder and standard streams to the
server, forwards signals, and ends as the script ended. Without a server, or where the server declines, it runs the
script itself.
"""

import os
import sys

SERVER = os.environ.get('MMWSSS_FORK_SERVER')
FOLDER = os.path.dirname(os.path.realpath(__file__))
TOOLS = os.path.join(os.path.dirname(os.path.dirname(FOLDER)), 'tools', '')
OTHERS = {os.path.join(FOLDER, name) for name in ('call.py', 'probe.py')}


def tool_arguments() -> list[str]:
    """Return the tool that this process was started with and its arguments, or an empty list."""
    arguments = sys.orig_argv[1:]
    if arguments[:1] == ['-u']:
        arguments = arguments[1:]
    script = os.path.realpath(arguments[0]) if arguments else ''
    return arguments if script in OTHERS or (script.startswith(TOOLS) and script.endswith('.py')) else []


def hand_over(arguments: list[str]) -> None:
    """Let the server run the tool, and end as it did; return if the server is gone or declines."""
    import json
    import signal
    import socket
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(SERVER)
    except OSError:
        return
    request = json.dumps(dict(arguments=arguments, folder=os.getcwd(), environment=dict(os.environ),
                              unbuffered='-u' in sys.orig_argv[:2] or bool(os.environ.get('PYTHONUNBUFFERED'))))
    message = request.encode()
    socket.send_fds(server, [len(message).to_bytes(8, 'big')], [0, 1, 2])
    server.sendall(message)
    if server.recv(1) != b'y':
        return server.close()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _: server.sendall(bytes([number])))
    answer = wait_for(server)
    if len(answer) < 4:
        os.write(2, b'the fork server of the tests has ended\n')
        os._exit(70)
    code = int.from_bytes(answer, 'big', signed=True)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


def wait_for(server) -> bytes:
    """Return the answer of the server; end before it comes, and thereby the tool, if the launcher has ended.

    The processes of a distributed run do so, which see another parent here.
    """
    launcher = os.environ.get('MMWSSS_LAUNCHER')
    server.settimeout(1 if launcher else None)
    while True:
        try:
            return server.recv(4)
        except TimeoutError:
            if os.getppid() != int(launcher):
                os._exit(70)


if SERVER and (tool := tool_arguments()):
    hand_over(tool)
