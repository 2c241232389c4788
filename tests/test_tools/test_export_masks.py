"""tools/export_masks.py and tools/import_masks.py: what is written, what comes back, and what is refused."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image

from mmwsss.datasets import PseudoLabelDataset
from mmwsss.datasets.annotation_files import FILE_FORMATS, READERS, WRITERS
from mmwsss.datasets.map_files import read_label_map, write_label_map
from mmwsss.utils import OutputError, seal_folder
from mmwsss.utils.errors import UserError, run_tool
from tests.helpers import call_tool, tiny_runner_cfg

EXPORT, IMPORT = 'tools/export_masks.py', 'tools/import_masks.py'
PALETTE = [(0, 0, 0), (10, 200, 30), (200, 20, 250)]


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Label maps of cat (1) and dog (2) with a palette of their own, and their photographs."""
    rng = np.random.default_rng(0)
    for image_id in ('one', 'trip/two'):
        labels = rng.choice([0, 1, 2, 255], (20, 30), p=[.4, .3, .2, .1]).astype(np.uint8)
        labels[2:12, 3:20] = 1
        write_label_map(labels, tmp_path / f'masks/{image_id}.png', PALETTE)
        photo = tmp_path / f'photos/{image_id}.JPG'
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(photo, format='jpeg')
    return tmp_path / 'masks'


def target_of(kind: str, folder: Path) -> Path:
    return folder / f'out{FILE_FORMATS.get(kind, "")}'


def content_of(folder: Path) -> dict[str, list]:
    return {path.relative_to(folder).as_posix(): read_label_map(path).tolist() for path in folder.rglob('*.png')}


@pytest.mark.parametrize('kind', READERS)
def test_label_maps_survive_both_tools(kind, masks, tmp_path, capsys):
    if kind == 'coco':
        pytest.importorskip('pycocotools', reason='COCO annotations need pycocotools')
    target = target_of(kind, tmp_path)
    arguments = ['--classes', 'cat,dog', '--images', tmp_path / 'photos']
    call_tool(EXPORT, masks, '--to', kind, '--out', target, *arguments)
    call_tool(IMPORT, target, '--from', kind, '--out', tmp_path / 'back', *arguments)
    assert content_of(tmp_path / 'back') == content_of(masks)
    assert '2 drawn label maps' in capsys.readouterr().out


def test_overlays_and_colors(masks, tmp_path):
    call_tool(EXPORT, masks, '--to', 'overlay', '--out', tmp_path / 'drawn', '--classes', 'cat,dog', '--images',
              tmp_path / 'photos')
    assert Image.open(tmp_path / 'drawn/trip/two.jpg').size == (30, 20)
    call_tool(EXPORT, masks, '--to', 'coco', '--out', tmp_path / 'x.json', '--classes', 'cat,dog')
    categories = json.loads((tmp_path / 'x.json').read_text())['categories']
    assert [entry['color'] for entry in categories[:2]] == [list(color) for color in PALETTE[1:]]


def test_predictions_know_their_classes_colors_and_photographs(masks, tmp_path):
    folder = tmp_path / 'predictions'
    folder.mkdir()
    masks.rename(folder / 'masks')
    images = [dict(id=image_id, path=str(tmp_path / f'photos/{image_id}.JPG'), mask=f'masks/{image_id}.png')
              for image_id in ('one', 'trip/two')]
    images.append(dict(id='film', path='film.mp4', video='videos/film.mp4', frames=[]))
    (folder / 'predictions.json').write_text(json.dumps(dict(
        classes=['background', 'cat', 'dog'], palette=PALETTE, images=images)))
    seal_folder(folder)
    call_tool(EXPORT, folder, '--to', 'yolo-seg', '--out', tmp_path / 'yolo')
    assert sorted(path.name for path in (tmp_path / 'yolo').rglob('*') if path.is_file()) == [
        'data.yaml', 'mmwsss_files.json', 'one.JPG', 'one.txt', 'two.JPG', 'two.txt']
    call_tool(EXPORT, folder, '--to', 'labelme', '--out', tmp_path / 'labelme')
    content = json.loads((tmp_path / 'labelme/trip/two.json').read_text())
    assert (tmp_path / 'labelme/trip' / content['imagePath']).samefile(tmp_path / 'photos/trip/two.JPG')
    with pytest.raises(UserError, match='names 3 classes'):
        call_tool(EXPORT, folder, '--to', 'npz', '--out', tmp_path / 'x.npz', '--classes', 'a,b,c')


@pytest.mark.parametrize('kind', WRITERS)
def test_nothing_is_left_of_an_export_that_fails(kind, masks, tmp_path):
    write_label_map(np.full((4, 4), 9, np.uint8), masks / 'wrong.png')
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(UserError, match=r'wrong\.png has the value 9'):
        call_tool(EXPORT, masks, '--to', kind, '--out', target_of(kind, tmp_path), '--classes', 'cat,dog')
    assert sorted(os.listdir(tmp_path)) == before


def test_corrections_are_not_overwritten(masks, tmp_path):
    for kind in ('coco', 'labelme'):
        call_tool(EXPORT, masks, '--to', kind, '--out', target_of(kind, tmp_path), '--classes', 'cat,dog')
    call_tool(EXPORT, masks, '--to', 'labelme', '--out', tmp_path / 'out', '--classes', 'cat,dog')  # unchanged
    corrected = tmp_path / 'out/one.json'
    corrected.write_text(corrected.read_text().replace('cat', 'dog'))
    for kind in ('coco', 'labelme'):
        with pytest.raises(OutputError, match='exists already|not as mmwsss'):
            call_tool(EXPORT, masks, '--to', kind, '--out', target_of(kind, tmp_path), '--classes', 'cat,dog')


BAD = {
    'no classes': (['--to', 'npz', '--out', 'x.npz'], '--classes'),
    'no photographs': (['--to', 'overlay', '--out', 'x', '--classes', 'cat,dog'], '--images'),
    'too few classes': (['--to', 'npz', '--out', 'x.npz', '--classes', 'cat'], 'has the value 2'),
    'into the input': (['--to', 'npz', '--out', 'masks/x.npz', '--classes', 'cat,dog'], 'lies inside'),
    'negative': (['--to', 'npz', '--out', 'x.npz', '--classes', 'cat,dog', '--tolerance', '-1'], '--tolerance'),
    'wrong folder': (['--to', 'npz', '--out', 'x.npz', '--classes', 'cat,dog', '--images', 'masks/trip'], 'photograph'),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_requests_are_refused(case, masks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, message = BAD[case]
    with pytest.raises((UserError, FileNotFoundError), match=message):
        call_tool(EXPORT, 'masks', *arguments)


@pytest.mark.parametrize('tool', [EXPORT, IMPORT])
def test_errors_are_one_line(tool, tmp_path, capsys):
    flag = '--to' if tool == EXPORT else '--from'
    with pytest.raises(SystemExit) as ended:
        run_tool(lambda: call_tool(tool, tmp_path / 'no', flag, 'geojson', '--classes', 'a', '--out', tmp_path / 'x'))
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(f'{tmp_path}/no does not exist')


def test_drawn_and_pseudo_labels_are_trained_on_together(masks, tmp_path, capsys):
    call_tool(EXPORT, masks, '--to', 'cvat', '--out', tmp_path / 'x.xml', '--classes', 'cat,dog')
    for image_id in ('one', 'three'):
        write_label_map(np.full((20, 30), 2, np.uint8), tmp_path / f'pseudo/{image_id}.png')
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / 'photos/three.JPG', format='jpeg')
    call_tool(IMPORT, tmp_path / 'x.xml', '--from', 'cvat', '--classes', 'cat,dog', '--out', tmp_path / 'both',
              '--rest', tmp_path / 'pseudo')
    assert '2 drawn label maps and 1 others' in capsys.readouterr().out
    both = content_of(tmp_path / 'both')
    assert both == {**content_of(tmp_path / 'pseudo'), **content_of(masks)}
    init_default_scope('mmwsss')
    photos = dict(type='PhotoDataset', data_root=str(tmp_path), data_prefix=dict(img_path='photos'), img_suffix='.JPG',
                  classes=['cat', 'dog'])
    dataset = PseudoLabelDataset(photos, str(tmp_path / 'both'), pipeline=[])
    assert len(dataset) == 3


def test_a_correction_and_the_other_predictions_train_a_segmentor(masks, tmp_path):
    call_tool(EXPORT, masks, '--to', 'labelme', '--out', tmp_path / 'to_correct', '--classes', 'cat,dog',
              '--images', tmp_path / 'photos')
    (tmp_path / 'drawn').mkdir()
    drawn = (tmp_path / 'to_correct/one.json').read_text().replace('"cat"', '"dog"')  # the person says it is a dog
    (tmp_path / 'drawn/one.json').write_text(drawn)
    call_tool(IMPORT, tmp_path / 'drawn', '--from', 'labelme', '--classes', 'cat,dog', '--out', tmp_path / 'corrected',
              '--rest', masks)
    before = {name: np.array(read_label_map(masks / f'{name}.png')) for name in ('one', 'trip/two')}
    expected = {'one': np.where(before['one'] == 1, 2, before['one']), 'trip/two': before['trip/two']}

    cfg = tiny_runner_cfg(tmp_path, tmp_path / 'work')
    photos = dict(type='PhotoDataset', data_root=str(tmp_path), data_prefix=dict(img_path='photos'), img_suffix='.JPG',
                  classes=['cat', 'dog'])
    cfg['train_dataloader']['dataset'] = dict(
        type='PseudoLabelDataset', dataset=photos, pseudo_label_dir=str(tmp_path / 'corrected'),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')])
    for part in ('val', 'test'):
        for key in ('dataloader', 'cfg', 'evaluator'):
            del cfg[f'{part}_{key}']
    runner = Runner.from_cfg(Config(cfg))
    runner.train()
    assert (tmp_path / 'work/iter_2.pth').is_file()

    dataset = runner.train_dataloader.dataset
    for index, name in enumerate(dataset.image_ids):
        labels = dataset[index]['data_samples'].gt_sem_seg.data
        assert np.array_equal(labels[0].numpy(), expected[name])
        logits = torch.zeros(1, 3, *labels.shape[1:], requires_grad=True)
        runner.model.decode_head.loss_decode(logits, labels.long(), ignore_index=255).backward()
        weights = logits.grad.abs().sum(dim=1)[0]
        assert torch.equal(weights > 0, labels[0] != 255)  # every pixel counts except undecided ones,
        assert weights[weights > 0].unique().numel() == 1  # and all of them count alike


def test_sizes_and_repeated_images_are_checked(masks, tmp_path):
    call_tool(EXPORT, masks, '--to', 'cvat', '--out', tmp_path / 'x.xml', '--classes', 'cat,dog')
    Image.new('RGB', (30, 21)).save(tmp_path / 'photos/one.JPG', format='jpeg')
    arguments = ['--from', 'cvat', '--classes', 'cat,dog', '--out', tmp_path / 'back']
    with pytest.raises(UserError, match='do not belong together'):
        call_tool(IMPORT, tmp_path / 'x.xml', *arguments, '--images', tmp_path / 'photos')
    text = (tmp_path / 'x.xml').read_text().replace('trip/two.jpg', 'one.png')
    (tmp_path / 'x.xml').write_text(text)
    with pytest.raises(UserError, match='two annotations of image one'):
        call_tool(IMPORT, tmp_path / 'x.xml', *arguments)
    assert not (tmp_path / 'back').exists()
