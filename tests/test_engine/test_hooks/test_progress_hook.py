"""What the line of progress says of the last iteration."""

import warnings

import pytest
import torch

from mmwsss.engine.hooks.progress_hook import _loss_text


@pytest.mark.parametrize(('outputs', 'text'), [
    ({'loss': 2.0}, 'loss 2'),
    ({'loss': torch.tensor(0.12345)}, 'loss 0.1235'),
    ({}, ''),
    (None, ''),
])
def test_loss_as_text(outputs, text):
    assert _loss_text(outputs) == text


def test_a_loss_that_has_a_graph_gives_no_warning():
    """PyTorch warns once in a process, so it is told to do it always."""
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            assert _loss_text({'loss': torch.ones(2, requires_grad=True).sum()}) == 'loss 2'
    finally:
        torch.set_warn_always(False)
