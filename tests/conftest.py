"""Shared by all tests; the package is imported by the processes that run tests, and not by the one that starts them."""

import gc
import importlib
import itertools
import math
import os
from pathlib import Path

import pytest

from .fork_server import start_server, warm_path

HOST_TESTS = (
    'test_stack.py', 'test_compat.py', 'test_other_releases.py', 'test_registry.py',
    'test_checkpoints/test_loader.py', 'test_checkpoints/test_doors.py', 'test_checkpoints/test_restricted_pickle.py',
    'test_datasets/test_runs.py', 'test_datasets/test_pseudo_label_dataset.py',
    'test_engine/test_hooks', 'test_engine/test_pseudo_label_hook.py', 'test_engine/test_results_hook.py',
    'test_apis', 'test_analysis/test_cam_visualizer.py', 'test_models/test_backbones',
    'test_tools/test_train.py', 'test_tools/test_test.py', 'test_tools/test_make_pseudo_labels.py',
    'test_end_to_end.py', 'test_mmseg_apis.py', 'test_mixing.py',
)
"""Files and folders whose tests meet mmengine, mmcv, mmseg and mmpretrain; ``-m host`` chooses them. ``.ci/run`` runs
them once more on the original family."""


def pytest_configure(config: pytest.Config) -> None:
    """Start the process that runs the tools for all test processes; import the package where tests are run.

    It is imported first, because it makes torchvision importable beside any torch build.
    """
    is_worker = hasattr(config, 'workerinput')
    stop = None if is_worker else start_server()
    if stop is not None:
        config.add_cleanup(stop)
    if is_worker or config.getoption('dist', 'no') == 'no':
        importlib.import_module('mmwsss')


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run three tests for two cores (``-n auto``): many wait for processes that they have started."""
    return math.ceil((os.cpu_count() or 1) * 1.5)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of :data:`HOST_TESTS`."""
    root = Path(__file__).parent
    places = [root / name for name in HOST_TESTS]
    missing = [str(place) for place in places if not place.exists()]
    if missing:
        raise pytest.UsageError(f'HOST_TESTS of tests/conftest.py names what does not exist: {", ".join(missing)}')
    for path, found in itertools.groupby(items, lambda item: item.path):
        if any(place in (path, *path.parents) for place in places):
            for item in found:
                item.add_marker('host')


def pytest_collection_finish() -> None:
    """Leave out what was imported when garbage is collected, which every data set of mmengine asks for: 0.3 s each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope='session')
def _plain_config_texts():
    """Let mmengine write the texts of configs as they are, as the tools do; laying one out takes up to a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text, *args, **kwargs: (text, True))
        yield


@pytest.fixture(autouse=True)
def _default_scope():
    """Let every test name parts as a config of this package does."""
    importlib.import_module('mmengine.registry').init_default_scope('mmwsss')


@pytest.fixture
def warm_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tools that the package itself starts be forks of the warm process, as those of ``run_tool`` are."""
    monkeypatch.setenv('PYTHONPATH', warm_path())
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
