"""Say what a process of a tool finds, and end as its argument says; the tests of the fork server run it."""

import json
import os
import signal
import subprocess
import sys
import time


def wait() -> None:
    """Start a process that is left alone, name it, and wait for signals."""
    child = subprocess.Popen(['sleep', '60'])
    print(os.getpid(), child.pid, flush=True)
    time.sleep(60)


def obey(number: int, _) -> None:
    """Name a signal and end."""
    print(f'got {signal.Signals(number).name}', flush=True)
    sys.exit(128 + number)


if __name__ == '__main__':
    found = dict(arguments=sys.argv[1:], folder=os.getcwd(), path=sys.path[0], some=os.environ.get('MMWSSS_SOME'),
                 warm='torch' in sys.modules, parts='mmwsss.models' in sys.modules, input=sys.stdin.read())
    action = sys.argv[1]
    if action == 'tell':
        print(json.dumps(found))
        print('on standard error', file=sys.stderr)
        sys.exit(int(sys.argv[2]))
    if action == 'fail':
        raise ValueError('with a traceback')
    if action == 'die':
        os.kill(os.getpid(), signal.SIGKILL)
    if action == 'obey':
        signal.signal(signal.SIGTERM, obey)
    wait()
