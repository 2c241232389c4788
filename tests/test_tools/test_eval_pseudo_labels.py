"""tools/eval_pseudo_labels.py: label maps and CAMs against masks, as tables, JSON and figures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsss.datasets.map_files import write_label_map

from ..helpers import call_tool, run_tool

SCRIPT = 'tools/eval_pseudo_labels.py'
GT = {'a': [[0, 0, 1], [0, 1, 1]], 'b': [[2, 2, 255], [2, 0, 0]]}
LABELS = {'a': [[0, 1, 1], [0, 1, 255]], 'b': [[2, 1, 2], [0, 0, 2]]}
CAMS = {'a': {0: [[.1, .3, .9], [.3, .6, .2]]},
        'b': {1: [[.8, .5, .9], [.3, .2, .1]], 0: [[.1, .6, 0], [.1, .3, 0]]}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with masks, label maps, CAMs, a list and class names."""
    (tmp_path / 'cams').mkdir()
    for name in 'ab':
        write_label_map(np.array(GT[name]), tmp_path / f'gt/{name}.png')
        write_label_map(np.array(LABELS[name]), tmp_path / f'labels/{name}.png')
        np.save(tmp_path / f'cams/{name}.npy', {key: np.array(cam, np.float32) for key, cam in CAMS[name].items()})
    (tmp_path / 'ids.txt').write_text('a\nb\n')
    (tmp_path / 'classes.txt').write_text('disc\nbar\n')
    return tmp_path


def evaluate(root: Path, *args: object) -> dict:
    """Run the evaluation and read what it wrote."""
    call_tool(SCRIPT, '--gt-dir', root / 'gt', '--split', root / 'ids.txt', '--json', root / 'found.json', *args)
    return json.loads((root / 'found.json').read_text())


def test_label_maps(root: Path, capsys: pytest.CaptureFixture):
    found = evaluate(root, '--label-dir', root / 'labels', '--plot', root / 'labels.png')
    assert found['classes'] == ['background', 'disc', 'bar']
    assert found['num_images'] == 2
    assert found['metrics']['pseudo/undecided'] == round(100 / 11, 2)
    assert found['metrics']['pseudo/mIoU'] == pytest.approx(np.mean(found['IoU']), abs=.01)
    skipped = evaluate(root, '--label-dir', root / 'labels', '--undecided', 'skip')
    assert skipped['metrics']['pseudo/mIoU'] > found['metrics']['pseudo/mIoU']
    with Image.open(root / 'labels.png') as image:
        assert image.width > 500
    output = capsys.readouterr().out
    assert all(word in output for word in ('disc', 'precision', 'recall', 'undecided', 'pseudo/mIoU'))


def test_class_maps(root: Path, capsys: pytest.CaptureFixture):
    found = evaluate(root, '--cam-dir', root / 'cams', '--thresholds', '0.1:0.7:0.2', '--threshold', '.5',
                     '--num-classes', '3', '--plot', root / 'cams.pdf')
    assert found['thresholds'] == [.1, .3, .5, .7]
    metrics = found['metrics']
    assert metrics['pseudo/mIoU'] == round(found['mIoU'][2], 2)
    assert metrics['pseudo/oracle_mIoU'] == round(max(found['mIoU']), 2)
    assert metrics['pseudo/oracle_threshold'] == found['thresholds'][int(np.argmax(found['mIoU']))]
    assert (root / 'cams.pdf').stat().st_size > 1000
    assert 'oracle, the best by the masks' in capsys.readouterr().out
    only_oracle = evaluate(root, '--cam-dir', root / 'cams', '--thresholds', '0:0.99:0.01')
    assert all('oracle' in key for key in only_oracle['metrics'])


def test_stopping_early_where_the_curve_dips(root: Path):
    """Worked example: the curve dips at 0.2, where stopping early ends the search."""
    found = {flags: evaluate(root, '--cam-dir', root / 'cams', '--thresholds', '0:0.7:0.1', *flags)
             for flags in ((), ('--stop-early', ), ('--stop-early', '--threshold', '.35'))}
    assert found[()]['mIoU'] == pytest.approx(
        [29.1667, 49.8413, 42.8571, 51.5873, 51.5873, 51.5873, 40.7407, 40.7407], abs=1e-4)
    assert found[()]['metrics']['pseudo/oracle_mIoU'] == 51.59
    assert found[()]['metrics']['pseudo/oracle_threshold'] == .3
    for flags in list(found)[1:]:
        assert found[flags]['metrics']['pseudo/oracle_mIoU'] == 49.84
        assert found[flags]['metrics']['pseudo/oracle_threshold'] == .1
    assert found[flags]['metrics']['pseudo/threshold'] == .35


def test_published_sweep(root: Path, capsys: pytest.CaptureFixture):
    """0, 0.01, ..., 0.59: one threshold fewer than ours."""
    found = evaluate(root, '--cam-dir', root / 'cams', '--published-sweep')
    assert found['thresholds'] == [k / 100 for k in range(60)]
    own = evaluate(root, '--cam-dir', root / 'cams')
    assert own['thresholds'] == [*found['thresholds'], .6]
    with pytest.raises(SystemExit):
        evaluate(root, '--cam-dir', root / 'cams', '--published-sweep', '--thresholds', '0:1:0.1')
    assert 'not allowed with argument' in capsys.readouterr().err


def test_a_class_that_is_in_no_mask_is_named(root: Path, capsys: pytest.CaptureFixture):
    found = evaluate(root, '--label-dir', root / 'labels', '--num-classes', '5')
    assert found['notes'] == ["In none of the masks, and left out of the means: 'class 3', 'class 4'."]
    assert found['notes'][0] in capsys.readouterr().out
    assert found['IoU'][3:] == [None, None]


@pytest.mark.parametrize(('text', 'words'), [
    *((text, repr(text)) for text in ('0:1', '0:2:0.1', '0.5:0.1:0.1', '0:1:-0.1', '0:1:0', 'a:b:c', '0:1:nan',
                                      '0:1:inf', 'nan:1:0.1', '0:1:1e-320')),
    ('0:1:1e-6', '1,000,001 thresholds, at most 10,000'), ('0:1:1e-12', 'take a larger step')])
def test_wrong_thresholds(root: Path, capsys: pytest.CaptureFixture, text: str, words: str):
    with pytest.raises(SystemExit):
        evaluate(root, '--cam-dir', root / 'cams', '--thresholds', text)
    assert words in capsys.readouterr().err
    assert not (root / 'found.json').exists()


def test_missing_files_and_classes(root: Path, tmp_path: Path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='2 of 2 label maps'):
        evaluate(root, '--label-dir', tmp_path / 'empty')
    (root / 'classes.txt').rename(root / 'names.txt')
    with pytest.raises(ValueError, match=r'--num-classes or --classes.*classes\.txt'):
        evaluate(root, '--label-dir', root / 'labels')
    named = evaluate(root, '--label-dir', root / 'labels', '--classes', root / 'names.txt')
    assert named['classes'] == ['background', 'disc', 'bar']


def test_masks_of_0_and_255_end_with_one_line(root: Path):
    for name in 'ab':
        write_label_map(np.where(np.array(GT[name]) == 0, 0, 255), root / f'gt/{name}.png')
    result = run_tool(SCRIPT, '--gt-dir', root / 'gt', '--split', root / 'ids.txt', '--label-dir', root / 'labels',
                      '--json', root / 'found.json', check=False)
    assert result.returncode == 2
    assert 'Traceback' not in result.stdout
    assert any('The masks hold only 0 and 255' in line for line in result.stdout.splitlines())
    assert not (root / 'found.json').exists()


def test_labels_of_category_ids(root: Path):
    """The classes 12 and 80 of the masks are COCO's categories 13 and 90."""
    for name, mask in dict(a=[[0, 12, 80], [255, 12, 0]], b=[[80, 80, 0], [0, 0, 12]]).items():
        mask = np.array(mask)
        write_label_map(mask, root / f'gt/{name}.png')
        write_label_map(np.where(mask == 12, 13, np.where(mask == 80, 90, mask)), root / f'labels/{name}.png')
    found = evaluate(root, '--label-dir', root / 'labels', '--num-classes', 91, '--category-ids', '--undecided', 'skip')
    assert found['metrics']['pseudo/mIoU'] == 100
    plain = evaluate(root, '--label-dir', root / 'labels', '--num-classes', 91, '--undecided', 'skip')
    assert plain['metrics']['pseudo/mIoU'] < 50
    with pytest.raises(ValueError, match='--category-ids needs --num-classes 91, got 81'):
        evaluate(root, '--label-dir', root / 'labels', '--num-classes', 81, '--category-ids')
