"""tools/analysis_tools/bench_cams.py: that both arrangements give the same, not how fast they are."""

import json

import pytest
import torch

from mmwsss.apis import init_model
from mmwsss.utils.errors import UserError

from ..color_cam import color_cam_config
from ..helpers import call_tool, load_tool, write_config, write_voc_folder

SCRIPT = 'tools/analysis_tools/bench_cams.py'
ARGS = ('--quick', '--rounds', 1, '--threads', 1)


@pytest.fixture(autouse=True)
def same_threads():
    """Give other tests the threads back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_ratios_are_printed(capsys):
    call_tool(SCRIPT, *ARGS, '--present', 3)
    printed = capsys.readouterr().out
    assert 'mctformer-v2_vit-micro_sample, 72 x 90' in printed
    line, = (line for line in printed.splitlines() if 'mmwsss' in line)
    assert line.count('x') == 3
    assert float(line.split()[-2]) < 1e-4


def test_lower_precision_and_labels(capsys, tmp_path):
    pytest.importorskip('pydensecrf', reason='needs the optional dense CRF')
    call_tool(SCRIPT, *ARGS, '--amp', 'bf16', '--post', 'crf', '--workers', 1, '--images', 2, '--json',
              tmp_path / 'rows.json')
    printed = capsys.readouterr().out
    assert 'cores used' in printed
    used = [float(line.split()[-3]) for line in printed.splitlines() if line.rstrip('│ ').endswith('%')]
    assert len(used) == 2
    assert all(0 < share <= 100 for share in used)
    single, low, labels = json.loads((tmp_path / 'rows.json').read_text())['rows']
    assert single['equal_to'] < 1e-4 < low['equal_to'] < .2
    assert labels['equal_to'] == 0


def test_any_config_in_lower_precision(tmp_path):
    configs = [f'configs/{name}_sample.py' for name in ('toco/toco_vit-micro', 'weaktr/weaktr_vit-micro')]
    call_tool(SCRIPT, *ARGS, '--amp', 'bf16', '--size', 48, 64, '--json', tmp_path / 'rows.json', '--configs', *configs)
    rows = json.loads((tmp_path / 'rows.json').read_text())['rows']
    assert [row['what'].split('_')[0] for row in rows] == ['CAMs of toco', 'CAMs of weaktr']
    assert all(row['against'] == 'float32' and 0 < row['equal_to'] < .1 for row in rows)
    with pytest.raises(UserError, match='--configs compares precisions: give --amp'):
        call_tool(SCRIPT, *ARGS, '--configs', *configs)


def test_labels_of_photographs(capsys, tmp_path):
    root = write_voc_folder(tmp_path / 'voc')
    config = write_config(color_cam_config(root), tmp_path / 'cfg.py')
    torch.save(dict(state_dict=init_model(config).state_dict(), meta={}), tmp_path / 'model.pth')
    tags = {'classes': ['disc', 'bar'], 'labels': {f'img_{k:03d}': ['disc', 'bar'] for k in range(4)}}
    (tmp_path / 'tags.json').write_text(json.dumps(tags))
    photos = ('--photos', root / 'JPEGImages', '--tags', tmp_path / 'tags.json', '--num-photos', 3)
    call_tool(SCRIPT, *photos, '--amp', 'bf16', '--model', config, tmp_path / 'model.pth', '--json',
              tmp_path / 'rows.json')
    row, = json.loads((tmp_path / 'rows.json').read_text())['rows']
    assert len(row['seconds']) == 3
    assert 0 <= row['equal_to'] < .05  # this backbone only passes the image on
    assert 'pixels with another label' in capsys.readouterr().out
    with pytest.raises(UserError, match='--photos takes --model CONFIG CHECKPOINT and --amp'):
        call_tool(SCRIPT, *photos)


def test_a_difference_is_an_error(monkeypatch):
    tool = load_tool(SCRIPT)
    model, image, labels = tool.example(*next(iter(tool.QUICK.items())), 2)
    ours = tool.our_cams(model, image, labels)
    assert ours.shape == (2, 72, 90)
    model.cam_head.attention_layers = 1
    assert abs(tool.plain_cams(model, image, labels) - ours).max() > 1e-3
    result = dict(name='', seconds=[1.], processor=1., mib=1., difference=1.)
    monkeypatch.setattr(tool, 'compare', lambda *args: [result, result])
    monkeypatch.setattr('sys.argv', [SCRIPT, *map(str, ARGS)])
    with pytest.raises(SystemExit, match='the maps differ'):
        tool.main()
