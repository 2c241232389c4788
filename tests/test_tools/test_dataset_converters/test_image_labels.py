import json

import numpy as np
import pytest
from PIL import Image

from mmwsss.datasets import ImageLabels
from tests.converters import run_converter
from tests.helpers import REPO, run_tool, write_voc_folder

SCRIPT = 'tools/dataset_converters/image_labels.py'


def test_masks_from_the_command_line(tmp_path):
    root = write_voc_folder(tmp_path / 'data')
    out = run_tool(SCRIPT, 'masks', root / 'SegmentationClass', '--classes', root / 'classes.txt', '--split',
                   root / 'ImageSets/Segmentation/train.txt', '--out', tmp_path / 'labels.json').stdout
    labels = ImageLabels.load(tmp_path / 'labels.json')
    assert len(labels) == 6
    assert labels.labels['img_002'] == ('disc', 'bar')
    assert '6 images, 1.33 labels per image, 0 without a label' in ' '.join(out.split())
    assert '66.7 %' in out


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out.json'


def test_tables_are_joined_and_compared_with_the_images(tmp_path, out, capsys):
    (tmp_path / 'a.csv').write_text('image,tags\nx.jpg,cat\nlost.jpg,cat\n')
    (tmp_path / 'b.csv').write_text('image,tags\nx.jpg,dog\nbroken.jpg,\n')
    images = tmp_path / 'images'
    images.mkdir()
    Image.new('RGB', (4, 4)).save(images / 'x.jpg')
    Image.new('RGB', (4, 4)).save(images / 'untagged.png')
    (images / 'broken.jpg').write_bytes(b'no picture')
    run_converter('image_labels', 'table', tmp_path / 'a.csv', tmp_path / 'b.csv', '--out', out, '--classes',
                  'cat,dog,cow', '--images', images, '--verify')
    assert ImageLabels.load(out).labels == {'x': ('cat', 'dog'), 'lost': ('cat', ), 'broken': ()}
    shown = ' '.join(capsys.readouterr().out.split())
    for part in ("1 labeled images are not in", "'lost'", "1 images of", "'untagged'", '1 images cannot be read',
                 '1 without a label, 1 classes without an image'):
        assert part in shown


@pytest.mark.parametrize(('kind', 'args', 'expected'), [
    ('voc-xml', ['Annotations'], {'a': ['cat', 'dog']}),
    ('voc-xml', ['Annotations', '--skip-difficult'], {'a': ['dog']}),
    ('coco', ['instances.json'], {'a': ['cat'], 'b': ['dog']}),
    ('coco', ['instances.json', '--skip-crowd'], {'a': ['cat'], 'b': []}),
    ('folders', ['folders'], {'cat/a': ['cat'], 'dog/a': ['dog']}),
    ('folders', ['folders', '--flat-ids'], {'a': ['cat', 'dog']}),
    ('npy', ['labels.npy', '--classes', 'cat,dog', '--id-format', 'img_{:02d}'], {'img_07': ['cat']}),
])
def test_every_other_kind(tmp_path, out, kind, args, expected):
    (tmp_path / 'Annotations').mkdir()
    (tmp_path / 'Annotations/a.xml').write_text(
        '<annotation><object><name>dog</name></object><object><name>cat</name><difficult>1</difficult></object>'
        '</annotation>')
    (tmp_path / 'instances.json').write_text(json.dumps(dict(
        images=[dict(id=1, file_name='a.jpg'), dict(id=2, file_name='b.jpg')],
        annotations=[dict(image_id=1, category_id=5), dict(image_id=2, category_id=8, iscrowd=1)],
        categories=[dict(id=5, name='cat'), dict(id=8, name='dog')])))
    for name in ('cat', 'dog'):
        (tmp_path / 'folders' / name).mkdir(parents=True)
        (tmp_path / 'folders' / name / 'a.jpg').write_bytes(b'')
    np.save(tmp_path / 'labels.npy', {7: np.array([1, 0])})
    run_converter('image_labels', kind, tmp_path / args[0], *args[1:], '--out', out)
    assert json.loads(out.read_text())['labels'] == expected


def test_class_lists_of_known_sets(tmp_path, out):
    np.save(tmp_path / 'cls_labels.npy', {2007000032: np.eye(20, dtype=np.float32)[[0, 14]].sum(0)})
    run_converter('image_labels', 'npy', tmp_path / 'cls_labels.npy', '--classes', 'voc', '--out', out)
    assert ImageLabels.load(out).labels == {'2007_000032': ('aeroplane', 'person')}


@pytest.mark.parametrize(('args', 'message'), [
    (['table', 'lost.csv', '--out', 'x.json'], r'lost\.csv does not exist'),
    (['masks', '.', '--out', 'x.json'], 'give --classes'),
    (['table', 'a.csv', '--out', 'x.npy'], r'--out must end with \.json'),
    (['table', 'a.csv', '--out', 'x.json', '--verify'], '--images'),
    (['table', 'a.csv', '--out', 'x.json', '--classes', 'dog'], "unknown.*'cat'"),
])
def test_errors_are_one_line_and_write_nothing(tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a.csv').write_text('x.jpg,cat\n')
    with pytest.raises((ValueError, OSError), match=message):
        run_converter('image_labels', *args)
    assert [path.name for path in tmp_path.iterdir()] == ['a.csv']


def test_script_is_where_the_messages_say():
    assert (REPO / SCRIPT).is_file()
