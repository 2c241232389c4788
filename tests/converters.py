"""Running a converter inside the test's process, which saves the seconds that imports take."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from tests.helpers import REPO


def load_converter(name: str) -> ModuleType:
    """Import ``tools/dataset_converters/<name>.py`` as a module that worker processes can find."""
    path = Path(REPO, 'tools', 'dataset_converters', f'{name}.py')
    spec = importlib.util.spec_from_file_location(f'converter_{name}', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run_converter(name: str, *args: Any) -> None:
    """Run a converter's ``main`` with the given command line."""
    with mock.patch.object(sys, 'argv', [f'{name}.py', *map(str, args)]):
        load_converter(name).main()
