import torch
from torch import nn
from torch.nn import functional as F

from mmwsss.models import Features, LargeFOVHead, ProjectionHead, Request, ToCoHead


def test_scores_and_maps_share_weights():
    torch.manual_seed(0)
    head = ToCoHead(num_classes=5, in_channels=8)
    last, aux = torch.randn(2, 8, 4, 6), torch.randn(2, 8, 4, 6)
    features = Features([last], (4, 6), hidden={-3: aux})
    assert head.request(head.map_names) == Request(hidden=(-3, ))
    scores, maps = head(features), head.maps(features, head.map_names)
    expected = last.flatten(2).amax(2) @ head.classifier.weight.flatten(1).T
    torch.testing.assert_close(scores['logits'], expected)
    torch.testing.assert_close(scores['aux_logits'], aux.flatten(2).amax(2) @ head.aux_classifier.weight.flatten(1).T)
    torch.testing.assert_close(maps['aux_cams'], head.aux_classifier(aux))
    chosen = head.maps(features, ['cams'], torch.tensor([3, 1]))
    assert set(chosen) == {'cams'}
    torch.testing.assert_close(chosen['cams'], maps['cams'][:, [3, 1]])
    assert sum(p.numel() for p in head.parameters()) == 80


def test_multi_label_soft_margin():
    loss = nn.MultiLabelSoftMarginLoss()(torch.tensor([[1., -2, .5]]), torch.tensor([[1., 0, 0]]))
    torch.testing.assert_close(loss, torch.tensor(0.4714222))


def test_projector_gives_cosines():
    torch.manual_seed(0)
    projector = ProjectionHead(768)
    projector.init_weights()
    tokens = torch.randn(2, 3, 768)
    out = projector(tokens)
    bottleneck = projector.mlp(tokens)
    for row in (0, 511, 1023):
        expected = F.cosine_similarity(bottleneck, projector.weight_v[row].expand_as(bottleneck), dim=-1)
        torch.testing.assert_close(out[..., row], expected, atol=1e-5, rtol=1e-5)
    assert out.abs().max() <= 1 + 1e-6
    assert sum(p.numel() for p in projector.parameters()) == 6_558_976
    assert sum(p.numel() for p in projector.parameters() if p.requires_grad) == 6_557_952
    assert all(module.bias.eq(0).all() for module in projector.mlp if isinstance(module, nn.Linear))


def test_large_fov_decoder():
    head = LargeFOVHead(768, num_classes=21)
    assert sum(p.numel() for p in head.parameters()) == 5_908_992
    assert not [name for name, _ in head.named_parameters() if name.endswith('bias')]
    small = LargeFOVHead(8, channels=16, num_classes=3)
    assert small([torch.randn(2, 8, 7, 9)]).shape == (2, 3, 7, 9)
