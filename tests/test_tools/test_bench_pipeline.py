"""tools/analysis_tools/bench_pipeline.py: what is timed and named, not how fast it is."""

import time

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config

from mmwsss.utils.errors import UserError

from ..helpers import REPO, call_tool, load_tool

SCRIPT = 'tools/analysis_tools/bench_pipeline.py'


@pytest.fixture(scope='module')
def tool():
    return load_tool(SCRIPT)


class Busy(BaseTransform):
    """Work for some time, of which a part is another transform's."""

    def __init__(self, seconds, inner=None):
        self.seconds, self.inner = seconds, inner

    def transform(self, results):
        end = time.thread_time() + self.seconds
        while time.thread_time() < end:
            pass
        return self.inner(results) if self.inner else results


class Inner(Busy):
    pass


def test_the_time_of_a_transform_is_its_own(tool):
    plain = BaseTransform.__call__
    with tool.transform_times() as seconds:
        Busy(.02, Inner(.05))({})
        Inner(.01)({})
    assert seconds == {'Busy': pytest.approx(.02, abs=.009), 'Busy > Inner': pytest.approx(.05, abs=.009),
                       'Inner': pytest.approx(.01, abs=.009)}
    assert BaseTransform.__call__ is plain


def test_workers_for_the_need(capsys):
    threads = torch.get_num_threads()
    call_tool(SCRIPT, 'configs/cam/cam_vit-micro_sample.py', '--images', 2, '--repeat', 1, '--need', 1e-3)
    torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if 'cam_vit-micro_sample' in line)
    cells = [cell.strip() for cell in line.strip('│ ').split('│')]
    assert float(cells[1]) > 0
    assert cells[2:4] == ['0.0', '1']
    assert cells[4] in printed.partition('time of each transform')[2]
    assert {'cv2', 'pillow'} <= set(printed.split())


def test_images_have_the_size_of_photographs(tool, tmp_path):
    sample, = tool.write_photographs(tmp_path, 1, 20)
    image = tool.mmcv.imread(sample['img_path'])
    assert image.shape == (375, 500, 3)
    assert np.ptp(image) > 100
    assert sample['gt_label'].sum() == 2


def test_class_maps_are_not_generated(tool):
    cfg = Config.fromfile(REPO / 'configs/psa/psa_wr38_voc.py')
    with pytest.raises(UserError, match='reads class maps'):
        tool.build_pipeline(cfg)


@pytest.mark.parametrize('need', ['0', '-3', 'fast'])
def test_a_need_that_is_none(tool, need):
    with pytest.raises((ValueError, tool.argparse.ArgumentTypeError)):
        tool.images_per_second(need)
