"""Cosine similarity of patch tokens: the worked example, and layers of a network."""

import pytest
import torch
from torch.nn import functional as F

from mmwsss.analysis.analyses import mean_token_similarity

TOKENS = torch.tensor([[[1., 0], [1, 1], [0, 2], [-1, 0]]])


def test_worked_example():
    assert mean_token_similarity(TOKENS).item() == pytest.approx(-.048816, abs=1e-6)
    assert mean_token_similarity(TOKENS, absolute=True).item() == pytest.approx(.520220, abs=1e-6)


def test_all_pairs():
    tokens = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    units = F.normalize(tokens, dim=2)
    pairs = units @ units.mT
    off_diagonal = ~torch.eye(7, dtype=torch.bool)
    torch.testing.assert_close(mean_token_similarity(tokens), pairs[:, off_diagonal].mean(dim=1))
