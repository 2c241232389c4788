import pytest

from mmwsss.recipes import STAGE_KINDS

from .quick import QuickRecipe, QuickStage


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Give a recipe of stages that take no time."""
    monkeypatch.setitem(STAGE_KINDS, 'quick', QuickStage())
    return QuickRecipe(tmp_path)
