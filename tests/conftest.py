"""Shared by all tests: the package comes first, because it makes torchvision importable beside any torch build."""

import mmwsss  # noqa: F401, I001
import pytest
from mmengine.registry import init_default_scope


@pytest.fixture(autouse=True)
def _default_scope():
    """Let every test name parts as a config of this package does."""
    init_default_scope('mmwsss')
