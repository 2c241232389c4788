"""What other releases of torch and of mmseg lack or do differently, imitated on whichever is installed."""

import pytest
import torch
from mmengine.visualization import Visualizer
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.models import SegDataPreProcessor

from mmwsss.engine import PictureSheetHook
from mmwsss.evaluation import ThresholdSweep
from mmwsss.models import MultiViewPreProcessor


@pytest.mark.parametrize('name', ['channel_conversion', '_channel_conversion'])
@pytest.mark.parametrize('bgr_to_rgb', [True, False])
def test_views_swap_channels_by_either_name_of_the_setting(monkeypatch, name, bgr_to_rgb):
    preprocessor = MultiViewPreProcessor(mean=[0, 0, 0], std=[1, 1, 1], bgr_to_rgb=bgr_to_rgb)
    for known in ('channel_conversion', '_channel_conversion'):
        vars(preprocessor).pop(known, None)
    setattr(preprocessor, name, bgr_to_rgb)
    monkeypatch.setattr(SegDataPreProcessor, 'forward', lambda self, data, training: dict(data, data_samples=None))
    view = torch.arange(3, dtype=torch.uint8)[:, None, None].expand(3, 4, 4)
    out = preprocessor(dict(inputs=dict(main=[view], crop=[view]), data_samples=[]))
    assert out['inputs']['crop'][0, :, 0, 0].tolist() == ([2, 1, 0] if bgr_to_rgb else [0, 1, 2])


def test_thresholds_of_half_precision_do_not_need_aminmax(monkeypatch):
    known = torch.aminmax

    def without_half(values, **options):
        if values.dtype == torch.half:
            raise RuntimeError('"aminmax_cpu" not implemented for \'Half\'')
        return known(values, **options)

    monkeypatch.setattr(torch, 'aminmax', without_half)
    monkeypatch.setattr(torch.Tensor, 'aminmax', without_half)
    sweep = ThresholdSweep(2, (.25, ))
    sweep.update(torch.full((1, 2, 2), .5, dtype=torch.half), torch.ones(2, 2, dtype=torch.uint8))
    assert sweep.compute()['IoU'][0, 1] == 100
    with pytest.raises(ValueError, match='NaN'):
        sweep.update(torch.full((1, 2, 2), float('nan'), dtype=torch.half), torch.ones(2, 2, dtype=torch.uint8))


class Sample:
    def __init__(self, path):
        self.img_path = str(path)


class Runner:
    """A runner that must not be asked for the iteration in tests: mmengine would build the training data."""

    def __init__(self, iteration=None):
        self.iteration = iteration

    @property
    def iter(self):
        assert self.iteration is not None, 'a test does not ask for the iteration'
        return self.iteration

    val_dataloader = test_dataloader = None


@pytest.fixture
def hook(monkeypatch):
    """Return a hook that draws single images only, and notes which, whatever the parent does."""
    def parents(self, *args, **kwargs):
        pytest.fail('releases of mmseg draw different images')

    for name in ('after_test_iter', 'after_val_iter', '_after_iter'):
        monkeypatch.setattr(SegVisualizationHook, name, parents, raising=False)
    monkeypatch.setattr(PictureSheetHook, '_read', lambda self, sample: None)
    Visualizer.get_instance('other_releases')
    hook = PictureSheetHook(num_images=0, draw=True, interval=3)
    hook.drawn = []
    hook._visualizer = type('Visualizer', (), dict(add_datasample=lambda self, name, image, step, **options:
                                                   hook.drawn.append((name, step))))()
    return hook


def test_every_image_of_a_test_is_drawn(hook):
    for batch in range(4):
        hook.after_test_iter(Runner(), batch, None, [Sample(f'{batch}_{index}.jpg') for index in range(2)])
    assert hook.drawn == [(f'test_{batch}_{index}.jpg', 1 + 2 * batch + index) for batch in range(4)
                          for index in range(2)]


def test_a_validation_draws_one_image_every_interval(hook):
    for batch in range(7):
        hook.after_val_iter(Runner(30), batch, None, [Sample(f'{batch}_{index}.jpg') for index in range(2)])
    assert hook.drawn == [('val_0_0.jpg', 30), ('val_3_0.jpg', 33), ('val_6_0.jpg', 36)]
