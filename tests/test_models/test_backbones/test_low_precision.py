"""Backbones in lower precision: what is computed in it, what stays in float32, and who cannot."""

import pytest
import torch
from torch.testing import assert_close

from mmwsss.models import Request, backbone_precision, check_precision, extract_features
from mmwsss.models.backbones import ClassAttentionSum, PatchAttention, PatchAttentionSum, PatchScores, QueryKeys
from mmwsss.models.backbones.attention import iterate_head_maps
from mmwsss.registry import MODELS
from mmwsss.utils.errors import UserError

from ...helpers import KeptAttention, tiny_segmentor
from .observed import KINDS, build, flat

SUMS = (ClassAttentionSum(), PatchAttentionSum(), PatchAttention(), PatchAttention(keys='patches'))
OBSERVATIONS = (*SUMS, PatchScores(), QueryKeys(), KeptAttention())


class Model(torch.nn.Module):
    """A model that has a backbone and nothing else."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone.float()


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(1))


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


def all_tensors(features):
    observed = (features[item] for item in OBSERVATIONS)
    return [*features.maps, features.class_tokens, *features.hidden.values(), *flat(list(observed))]


@pytest.mark.parametrize('kind', KINDS)
@torch.no_grad()
def test_products_are_low_and_results_are_single(kind, images):
    model = Model(build(kind))
    request = Request(hidden=(1, ), observations=OBSERVATIONS)
    seen = []
    for part in model.modules():
        if isinstance(part, (torch.nn.Linear, torch.nn.Conv2d)):
            part.register_forward_hook(lambda part, args, out: seen.append(out.dtype))
    expected = all_tensors(extract_features(model.backbone, images, request))
    assert set(seen) == {torch.float32}
    seen.clear()
    with backbone_precision(model, 'bf16'):
        found = all_tensors(extract_features(model.backbone, images, request))
        assert (images @ images.mT).dtype == torch.float32  # beside the backbone nothing changes
    assert set(seen) == {torch.bfloat16}
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert 0 < relative(one, other) < .05
    again = all_tensors(extract_features(model.backbone, images, request))
    assert all(map(torch.equal, again, expected))


@torch.no_grad()
def test_sums_over_many_heads_and_layers_lose_nothing(images):
    """A sum in bf16 stops growing at 256 times the summands."""
    model = Model(build())
    with backbone_precision(model, 'bf16'):
        features = extract_features(model.backbone, images, Request(observations=(*SUMS, KeptAttention())))
    heads = torch.stack(list(features[KeptAttention()].values()))
    assert_close(features[PatchAttentionSum()], heads.mean(dim=2).sum(dim=0)[..., 3:, 3:], rtol=1e-5, atol=1e-6)
    assert_close(features[ClassAttentionSum()], heads.mean(dim=2).sum(dim=0)[..., :3, 3:], rtol=1e-5, atol=1e-6)
    rows = features[PatchAttention(keys='patches')].sum(dim=-1)
    assert_close(rows, torch.ones_like(rows), rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize('chunk', [1, 2])
def test_what_all_keys_have_in_common_costs_no_digits(chunk):
    """It adds a constant to the scores of a query, which softmax does not see but rounding does."""
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 2, 24, 8).mul(8).round().div(8).clamp(-1.875, 1.875)  # exact in bf16, also with 16
    expected = (query @ key.mT).softmax(dim=-1)
    assert (query @ (key + 16).mT).abs().max() > 128  # in bf16 a whole number
    found = [part.maps for part in iterate_head_maps(query.bfloat16(), (key + 16).bfloat16(), chunk)]
    assert_close(torch.cat(found, dim=1).float(), expected, rtol=.03, atol=.003)


def test_segmentors_of_mmseg_decide_in_single_precision(images):
    torch.manual_seed(0)
    model = MODELS.build(tiny_segmentor()).eval()
    with torch.no_grad():
        expected = model(images, mode='tensor')
        with backbone_precision(model, 'bf16'):
            found = model(images, mode='tensor')
    assert found.dtype == torch.float32
    assert 0 < relative(found, expected) < .05


def test_the_block_restores_the_backbone_after_errors_and_may_be_nested():
    model = Model(build())
    entries = set(vars(model.backbone))

    def fail():
        with backbone_precision(model, 'bf16'), backbone_precision(model, 'bf16'):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert set(vars(model.backbone)) == entries


@pytest.mark.parametrize(('amp', 'place', 'message'), [
    ('fp16', 'cpu', 'amp fp16 takes a GPU: a CPU computes it many times slower than float32. Use bf16'),
    ('bf61', None, "amp must be one of bf16, fp16, got 'bf61' .did you mean 'bf16'"),
])
def test_what_a_device_does_not_have_is_refused(amp, place, message):
    with pytest.raises(UserError, match=message):
        check_precision(amp, place)
    with pytest.raises(UserError, match=message), backbone_precision(Model(build()), amp):
        pass


def test_a_model_without_a_backbone_is_refused():
    with pytest.raises(UserError, match='amp bf16 lowers the precision of a backbone, and Linear has none'), \
            backbone_precision(torch.nn.Linear(1, 1), 'bf16'):
        pass
    check_precision(None, 'cpu')


def test_a_cpu_without_instructions_is_told(monkeypatch):
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: {'avx2': True}, raising=False)
    monkeypatch.setattr('platform.machine', lambda: 'x86_64')
    told = []
    monkeypatch.setattr('mmwsss.models.backbones.low_precision.notify', told.append)
    check_precision('bf16', 'cpu')
    assert told == ['this CPU has no instructions for bf16: it is slower here than float32']
