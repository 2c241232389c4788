"""Call a function of a test module with the further arguments: ``python call.py MODULE:FUNCTION ...``."""

import importlib
import sys

if __name__ == '__main__':
    module, function = sys.argv[1].split(':')
    getattr(importlib.import_module(module), function)(*sys.argv[2:])
