"""Classification head of the pretraining."""

import pytest
import torch
from mmpretrain.structures import DataSample
from torch.nn import functional as F

from projects.sample_backbones.token_pool_head import TokenPoolClsHead


def build(**kwargs):
    return TokenPoolClsHead(num_classes=3, in_channels=5, cal_acc=True, **kwargs)


def test_losses_equal_cross_entropies_of_each_pooling():
    torch.manual_seed(0)
    head, tokens, labels = build(), torch.randn(4, 7, 5), torch.tensor([0, 2, 1, 1])
    samples = [DataSample().set_gt_label(label) for label in labels]
    losses = head.loss((tokens, ), samples)
    pooled = dict(cls=tokens[:, 0], mean=tokens[:, 1:].mean(1), max=tokens[:, 1:].max(1).values)
    total = 0
    for name, feature in pooled.items():
        weight, bias = head.classifiers[name].weight, head.classifiers[name].bias
        logits = feature @ weight.T + bias
        total = total + logits
        torch.testing.assert_close(losses[f'loss_{name}'], F.cross_entropy(logits, labels))
        accuracy = (logits.argmax(1) == labels).float().mean() * 100
        assert float(losses[f'{name}_accuracy']) == pytest.approx(float(accuracy))
    torch.testing.assert_close(head((tokens, )), total / 3)


def test_predicts_the_best_class():
    head = build(pools=['max'])
    tokens = torch.randn(2, 4, 5)
    predicted = [sample.pred_label.item() for sample in head.predict((tokens, ))]
    assert predicted == head((tokens, )).argmax(1).tolist()


@pytest.mark.parametrize('pools', [(), ('median', )])
def test_unknown_pools_are_refused(pools):
    with pytest.raises(ValueError, match='cls'):
        build(pools=pools)
