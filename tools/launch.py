#!/usr/bin/env python
"""Start several processes of a tool: ``python tools/launch.py [FLAGS] SCRIPT [ARGUMENTS]``, as torchrun does.

The exit code is that of the first process that failed, and 130 or 143 after SIGINT or SIGTERM, which torchrun passes on
to the processes. What they print is enough: the launcher prints no traceback of its own.
"""

import faulthandler
import logging
import os
import signal
import sys

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main


def launch() -> int:
    """Start the processes, wait for them, and return the exit code."""
    logging.disable(logging.ERROR)
    if hasattr(signal, 'SIGUSR1'):
        faulthandler.register(signal.SIGUSR1)  # as in the processes; by default, the signal would end the launcher
    os.environ['MMWSSS_LAUNCHER'] = str(os.getpid())  # see mmwsss.utils.signals.end_with_launcher
    try:
        main()
    except SignalException as error:
        return 128 + error.sigval
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode >= 0 else 128 - failure.exitcode
    return 0


if __name__ == '__main__':
    sys.exit(launch())
