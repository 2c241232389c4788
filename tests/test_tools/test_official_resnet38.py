"""Wide-ResNet-38's published files, from ImageNet's in MXNet's format to segmentation networks."""

import io

import pytest
import torch
from mmengine.runner import CheckpointLoader
from rich.console import Console

from mmwsss.apis import init_model
from mmwsss.models import WideResNet38

from ..helpers import load_tool
from ..mxnet_files import write_params
from ..official_checkpoints import mxnet_name, random_weights, resnet38_shapes

WIDTH = 2
CLASSIFIER = {'fc8.weight': torch.zeros(20, 64 * WIDTH, 1, 1)}


@pytest.fixture(scope='module')
def tool():
    return load_tool('tools/model_converters/official2mmwsss.py')


def weights_of(width=WIDTH, counters=True, **heads):
    return {**random_weights(resnet38_shapes(width, counters)), **random_weights(heads, seed=1)}


def converted(tool, method, source, folder) -> str:
    if isinstance(source, dict):
        torch.save(source, folder / 'official.pth')
        source = folder / 'official.pth'
    tool.convert(method, str(source), str(folder / 'out.pth'), Console(file=io.StringIO()))
    return str(folder / 'out.pth')


def mxnet_file(folder):
    arrays = {mxnet_name(name): value.numpy() for name, value in weights_of(counters=False).items()}
    last = arrays['arg:bn7_gamma']
    arrays.update({'arg:linear1000_weight': last[None], 'arg:linear1000_bias': last})
    return write_params(folder / 'ilsvrc.params', arrays)


def test_mxnet_names_of_the_authors():
    """The table's own examples."""
    for ours, theirs in {
            'conv1a.weight': 'arg:conv1a_weight', 'b4_5.conv_branch2b1.weight': 'arg:res4b5_branch2b1_weight',
            'b2.conv_branch1.weight': 'arg:res2a_branch1_weight', 'b5.bn_branch2a.bias': 'arg:bn5a_branch2a_beta',
            'b3_1.bn_branch2b1.running_var': 'aux:bn3b1_branch2b1_moving_var', 'bn7.weight': 'arg:bn7_gamma',
            'b7.bn_branch2b2.running_mean': 'aux:bn7a_branch2b2_moving_mean'}.items():
        assert mxnet_name(ours) == theirs


@pytest.mark.parametrize('kind', ['mxnet', 'torch', 'torch without counters'])
@pytest.mark.parametrize('way', ['scheme', 'converter'])
def test_backbone_starts(tool, tmp_path, kind, way):
    weights = weights_of(counters=kind == 'torch')
    if kind == 'mxnet':
        path = mxnet_file(tmp_path)
    else:
        path = tmp_path / 'res38_cls.pth'
        torch.save({**weights, **CLASSIFIER}, path)
    init = dict(type='Pretrained', checkpoint=f'resnet38+{path}')
    if way == 'converter':
        init.update(checkpoint=converted(tool, 'resnet38-imagenet', path, tmp_path), prefix='backbone.')
    backbone = WideResNet38(base_channels=WIDTH, init_cfg=init)
    backbone.init_weights()
    found = {name: value for name, value in backbone.state_dict().items() if not name.endswith('num_batches_tracked')}
    assert len(found) == 228 - 37
    for name, value in found.items():
        assert torch.equal(value, weights[name]), name


def test_full_size_names_are_the_backbone_s():
    with torch.device('meta'):
        state = WideResNet38().state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == resnet38_shapes()


def segmentation_weights(num_classes, width):
    return weights_of(width, **{
        'fc8_seg_conv1.weight': (512, 64 * width, 3, 3), 'fc8_seg_conv1.bias': (512, ),
        'fc8_seg_conv2.weight': (num_classes, 512, 3, 3), 'fc8_seg_conv2.bias': (num_classes, )})


@pytest.mark.parametrize(('dataset', 'num_classes', 'width'), [('voc', 21, 64), ('coco', 81, WIDTH)])
def test_segmentation_network(tool, tmp_path, dataset, num_classes, width):
    """The published layout, of VOC in full size: nothing missing, nothing unexpected."""
    weights = segmentation_weights(num_classes, width)
    assert len(weights) == 232
    path = converted(tool, 'deeplab-resnet38', weights, tmp_path)
    (tmp_path / 'official.pth').unlink()
    narrow = {'model.backbone.base_channels': width, 'model.decode_head.in_channels': 64 * width}
    model = init_model(f'configs/deeplab/deeplabv1_wr38_{dataset}.py', path, cfg_options=narrow)
    (tmp_path / 'out.pth').unlink()
    if width == 64:
        assert sum(param.numel() for param in model.parameters()) == 124_042_581
    assert torch.equal(model.decode_head.fov_conv.weight, weights['fc8_seg_conv1.weight'])
    assert torch.equal(model.decode_head.conv_seg.bias, weights['fc8_seg_conv2.bias'])
    assert torch.equal(model.backbone.b7.bn_branch2b2.running_var, weights['b7.bn_branch2b2.running_var'])
    with torch.no_grad():
        logits = model(torch.randn(1, 3, 65, 72), mode='tensor')
    assert logits.shape == (1, num_classes, 9, 9)
    assert logits.isfinite().all()
    assert logits.std() > 0


def test_full_size_affinity_network(tool, tmp_path):
    """The published layout of resnet38_aff.pth: nothing missing, nothing unexpected."""
    weights = weights_of(64, **{'f8_3.weight': (64, 512, 1, 1), 'f8_4.weight': (128, 1024, 1, 1),
                                'f8_5.weight': (256, 4096, 1, 1), 'f9.weight': (448, 448, 1, 1)})
    assert len(weights) == 232
    path = converted(tool, 'psa', weights, tmp_path)
    (tmp_path / 'official.pth').unlink()
    model = init_model('configs/psa/psa_wr38_voc.py', path)
    (tmp_path / 'out.pth').unlink()
    assert sum(param.numel() for param in model.parameters()) == 106_484_032
    for name in ('f8_3', 'f8_4', 'f8_5', 'f9'):
        assert torch.equal(getattr(model.affinity_head, name).weight, weights[f'{name}.weight'])
    assert torch.equal(model.backbone.b6.conv_branch1.weight, weights['b6.conv_branch1.weight'])
    with torch.no_grad():
        affinity = model.extract_affinity(torch.randn(1, 3, 65, 80))
    assert affinity.shape == (1, 90, 90)
    assert ((affinity >= 0) & (affinity <= 1)).all()


@pytest.mark.parametrize('lost', ['b2_2', 'b4', 'b4_3', 'b4_5', 'b5', 'b6', 'b7'])
def test_a_lost_unit_is_named(tool, tmp_path, lost):
    weights = {name: value for name, value in weights_of().items() if not name.startswith(f'{lost}.')}
    with pytest.raises(ValueError, match=f'incomplete: .*{lost}'):
        converted(tool, 'resnet38-imagenet', weights, tmp_path)
    torch.save(weights, tmp_path / 'lost.pth')
    with pytest.raises(ValueError, match=rf'lost\.pth is not a checkpoint .*incomplete: .*{lost}'):
        CheckpointLoader.load_checkpoint(f'resnet38+{tmp_path}/lost.pth')


def test_kinds_are_told_apart(tool, tmp_path):
    plain = weights_of()
    affinity = weights_of(**{'f8_3.weight': (4, 4, 1, 1), 'f9.weight': (4, 4, 1, 1)})
    with pytest.raises(ValueError, match=r"AffinityNet \(PSA\): it lacks '\(f8_\[345\]\|f9\).weight'"):
        converted(tool, 'psa', plain, tmp_path)
    with pytest.raises(ValueError, match=r"2 weights have no place: 'f8_3.weight', 'f9.weight'"):
        converted(tool, 'resnet38-imagenet', affinity, tmp_path)
    with pytest.raises(ValueError, match='it lacks .*fc8_seg_conv1'):
        converted(tool, 'deeplab-resnet38', plain, tmp_path)
    with pytest.raises(ValueError, match='is a file of MXNet; METHOD psa has none, only resnet38-imagenet'):
        converted(tool, 'psa', mxnet_file(tmp_path), tmp_path)
    torch.save(affinity, tmp_path / 'aff.pth')
    with pytest.raises(ValueError, match='f9.weight'):
        CheckpointLoader.load_checkpoint(f'resnet38+{tmp_path}/aff.pth')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        CheckpointLoader.load_checkpoint(f'resnet38+{tmp_path}/nowhere.params')
