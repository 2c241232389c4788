"""tools/make_submission.py: an archive as the evaluation server of VOC takes it, and what is refused."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from mmseg.datasets import PascalVOCDataset
from PIL import Image

from mmwsss.datasets import voc_submission
from mmwsss.datasets.map_files import write_label_map
from mmwsss.utils import OutputError
from mmwsss.utils.errors import UserError
from tests.helpers import call_tool

TOOL = 'tools/make_submission.py'
IDS = ('2008_000006', '2008_000011', '2008_000012')
FOLDER = 'results/VOC2012/Segmentation/comp6_test_cls'


@pytest.fixture
def voc(tmp_path: Path, monkeypatch) -> Path:
    """A data set in VOC's layout whose test list has three images, and a folder ``masks`` with gray label maps."""
    monkeypatch.setitem(voc_submission.SPLITS, 'test', len(IDS))
    rng = np.random.default_rng(0)
    for folder in ('voc/JPEGImages', 'voc/ImageSets/Segmentation', 'masks'):
        (tmp_path / folder).mkdir(parents=True)
    for number, image_id in enumerate(IDS):
        labels = rng.integers(0, 21, (12 + number, 20)).astype(np.uint8)
        Image.fromarray(labels).save(tmp_path / f'masks/{image_id}.png')
        Image.new('RGB', (20, 12 + number)).save(tmp_path / f'voc/JPEGImages/{image_id}.jpg')
    (tmp_path / 'voc/ImageSets/Segmentation/test.txt').write_text('\n'.join(IDS) + '\n')
    return tmp_path


def make(voc: Path, *args: object) -> Path:
    out = voc / 'submission.tgz'
    call_tool(TOOL, voc / 'masks', '--data-root', voc / 'voc', '--out', out, *args)
    return out


def rewrite(path: Path, change) -> Path:
    """Write an archive anew, with ``change(name, content)`` in place of each file; None leaves it out."""
    changed = path.with_name('changed.tgz')
    with tarfile.open(path) as source, tarfile.open(changed, 'w:gz') as target:
        for entry in source:
            found = change(entry.name, source.extractfile(entry).read())
            if found:
                item = tarfile.TarInfo(found[0])
                item.size = len(found[1])
                target.addfile(item, io.BytesIO(found[1]))
    return changed


def test_the_archive_has_what_the_server_takes(voc: Path, capsys):
    Image.fromarray(np.full((4, 4), 77, np.uint8)).save(voc / 'masks/other.png')  # not in the list
    out = make(voc)
    assert '3 segmentations' in capsys.readouterr().out
    colors = [value for color in PascalVOCDataset.METAINFO['palette'] for value in color]
    with tarfile.open(out) as archive:
        assert archive.getnames() == [f'{FOLDER}/{image_id}.png' for image_id in IDS]
        for image_id in IDS:
            image = Image.open(archive.extractfile(f'{FOLDER}/{image_id}.png'))
            assert image.mode == 'P'
            assert image.getpalette()[:63] == colors
            assert np.array_equal(np.array(image), np.array(Image.open(voc / f'masks/{image_id}.png')))
    call_tool(TOOL, out, '--data-root', voc / 'voc')
    assert 'is complete' in capsys.readouterr().out


def test_the_competition_is_part_of_the_names(voc: Path):
    out = make(voc, '--competition', 'comp5')
    with tarfile.open(out) as archive:
        assert archive.getnames()[0] == f'results/VOC2012/Segmentation/comp5_test_cls/{IDS[0]}.png'
    with pytest.raises(UserError, match='all names must be results/VOC2012/Segmentation/comp6_test_cls'):
        call_tool(TOOL, out, '--data-root', voc / 'voc')


def test_predictions_have_their_own_classes(voc: Path):
    classes = list(PascalVOCDataset.METAINFO['classes'])
    (voc / 'masks').rename(voc / 'predicted')
    (voc / 'masks').mkdir()
    (voc / 'predicted').rename(voc / 'masks/masks')
    content = dict(classes=classes, palette=PascalVOCDataset.METAINFO['palette'], images=[
        dict(id=image_id, path=f'{image_id}.jpg', mask=f'masks/{image_id}.png') for image_id in IDS])
    (voc / 'masks/predictions.json').write_text(json.dumps(content))
    make(voc)
    content['classes'] = [*classes[:-2], *classes[:-3:-1]]
    (voc / 'masks/predictions.json').write_text(json.dumps(content))
    (voc / 'submission.tgz').unlink()
    with pytest.raises(UserError, match='not those of VOC 2012'):
        make(voc)


BAD_MASKS = {
    'ignored': (np.full((12, 20), 255, np.uint8), 'ignored pixels'),
    'value': (np.full((12, 20), 21, np.uint8), 'the value 21'),
    'size': (np.zeros((20, 12), np.uint8), r'is \(20, 12\), its photograph \(12, 20\)'),
    'missing': (None, 'have no label map'),
}


@pytest.mark.parametrize('case', BAD_MASKS)
def test_bad_masks_are_refused_and_nothing_is_left(case: str, voc: Path):
    labels, message = BAD_MASKS[case]
    path = voc / f'masks/{IDS[0]}.png'
    path.unlink()
    if labels is not None:
        write_label_map(labels, path)
    before = sorted(voc.rglob('*'))
    with pytest.raises(UserError, match=message):
        make(voc)
    assert sorted(voc.rglob('*')) == before


def gray(content: bytes) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.array(Image.open(io.BytesIO(content)))).save(out, 'PNG')
    return out.getvalue()


def recolored(content: bytes) -> bytes:
    image, out = Image.open(io.BytesIO(content)), io.BytesIO()
    image.putpalette([1, 2, 3] * 256)
    image.save(out, 'PNG')
    return out.getvalue()


BAD_ARCHIVES = {
    'missing': (lambda name, content: None if IDS[1] in name else (name, content), '1 of the 3 images'),
    'elsewhere': (lambda name, content: (name.replace('results/', ''), content), 'all names must be'),
    'unknown': (lambda name, content: (name.replace(IDS[2], 'cat'), content), 'cat is not in the list'),
    'twice': (lambda name, content: (f'{FOLDER}/{IDS[0]}.png', content) if IDS[2] not in name else None,
              'two segmentations of image 2008_000006'),
    'gray': (lambda name, content: (name, gray(content)), 'is a L picture'),
    'colors': (lambda name, content: (name, recolored(content)), 'other colors'),
    'damaged': (lambda name, content: (name, content[:40]), 'damaged'),
}


@pytest.mark.parametrize('case', BAD_ARCHIVES)
def test_bad_archives_are_refused(case: str, voc: Path):
    change, message = BAD_ARCHIVES[case]
    archive = rewrite(make(voc), change)
    with pytest.raises(UserError, match=message):
        call_tool(TOOL, archive, '--data-root', voc / 'voc')


def test_bad_requests_are_refused(voc: Path):
    root = ['--data-root', voc / 'voc']
    with pytest.raises(UserError, match='name the archive to write with --out'):
        call_tool(TOOL, voc / 'masks', *root)
    with pytest.raises(UserError, match=r'must end with \.tgz'):
        call_tool(TOOL, voc / 'masks', *root, '--out', voc / 'x.zip')
    with pytest.raises(FileNotFoundError):
        call_tool(TOOL, voc / 'nowhere.tgz', *root)
    (voc / 'text.tgz').write_text('text')
    with pytest.raises(UserError, match='no archive'):
        call_tool(TOOL, voc / 'text.tgz', *root)
    with pytest.raises(UserError, match='leave out --out'):
        call_tool(TOOL, voc / 'text.tgz', *root, '--out', voc / 'x.tgz')
    out = make(voc)
    with pytest.raises(OutputError, match='exists already'):
        make(voc)
    (voc / f'voc/JPEGImages/{IDS[0]}.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='photographs of test'):
        call_tool(TOOL, out, *root)
    (voc / 'voc/ImageSets/Segmentation/test.txt').write_text(IDS[0])
    with pytest.raises(UserError, match='has 1 images, but test of VOC 2012 has 3'):
        call_tool(TOOL, out, *root)
