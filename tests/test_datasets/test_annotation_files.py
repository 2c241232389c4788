"""Annotation files: what real programs read from them is the label map, and it comes back."""

import base64
import json
import warnings
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmwsss.datasets.annotation_files import (
    FILE_FORMATS,
    IGNORED,
    READERS,
    WRITERS,
    ClassTable,
    ExportOptions,
    LabeledImage,
    decode_brush,
    read_cvat,
    read_geojson,
    read_label_studio,
    read_labelme,
)
from mmwsss.utils.errors import UserError

NAMES = ('cat', 'guinea pig', 'tree & "leaf"')
PALETTE = ((0, 0, 0), (250, 10, 20), (0, 128, 255), (30, 200, 40))
VALUES = {1: 'cat', 2: 'guinea pig', 3: 'tree & "leaf"', 255: IGNORED}
CLASSES = ClassTable(NAMES, PALETTE)


def label_maps() -> dict[str, np.ndarray]:
    """Label maps with holes, classes that touch, one-pixel parts, ignored pixels, and awkward sizes."""
    rng = np.random.default_rng(0)
    ring = np.zeros((14, 17), np.uint8)
    ring[1:13, 1:16] = 1
    ring[3:11, 3:14] = 2
    ring[5:9, 5:12] = 0
    ring[6, 7], ring[7, 9], ring[0, 16], ring[13, 0] = 3, 1, 255, 2
    maps = {'a/ring': ring, 'empty': np.zeros((5, 8), np.uint8), 'full': np.full((6, 4), 2, np.uint8),
            'pixel': np.array([[3]], np.uint8), 'checks': (np.indices((9, 12)).sum(0) % 2).astype(np.uint8)}
    for k, (height, width) in enumerate([(1, 30), (23, 1), (13, 21), (24, 18)]):
        maps[f'noise_{k}'] = rng.choice([0, 1, 2, 3, 255], (height, width), p=[.4, .2, .2, .1, .1]).astype(np.uint8)
    for k in range(3):
        heights = cv2.GaussianBlur(rng.standard_normal((41, 58)), (0, 0), 1.5 + k)
        levels = np.digitize(heights, np.quantile(heights, [.4, .5, .7, .8]))
        maps[f'b/c/smooth_{k}'] = np.array([0, 1, 2, 3, 255], np.uint8)[levels]
    return maps


MAPS = label_maps()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a photograph for each label map."""
    for image_id, labels in MAPS.items():
        path = tmp_path / 'photos' / f'{image_id}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*labels.shape, 3), 90, np.uint8)).save(path)
    return tmp_path / 'photos'


def export(kind: str, folder: Path, tolerance: float = 0, photos: Path = None, classes: ClassTable = CLASSES) -> Path:
    """Write all label maps and return the file or the folder."""
    target = folder / f'annotations{FILE_FORMATS.get(kind, "")}'
    if kind not in FILE_FORMATS:
        target.mkdir()
    images = [LabeledImage(image_id, labels, photos / f'{image_id}.png' if photos else None)
              for image_id, labels in MAPS.items()]
    WRITERS[kind](images, classes, target, ExportOptions(tolerance, 'https://example.org/'))
    return target


# Programs: each returns the label maps that it reads


def painted(shape, found) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    for name, mask in found:
        labels[np.asarray(mask, bool)] = next(value for value, other in VALUES.items() if other == name)
    return labels


def read_by_pycocotools(target: Path, photos: Path, exact: bool) -> dict[str, np.ndarray]:
    coco = pytest.importorskip('pycocotools.coco', reason='pycocotools is not installed').COCO(str(target))
    names = {key: category['name'] for key, category in coco.cats.items()}
    read = {}
    for key, image in coco.imgs.items():
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=key))
        masks = [coco.annToMask(annotation) for annotation in annotations]
        if exact:
            assert [annotation['area'] for annotation in annotations] == [mask.sum() for mask in masks]
        found = [(names[one['category_id']], mask) for one, mask in zip(annotations, masks)]
        read[image['file_name'].removesuffix('.png')] = painted((image['height'], image['width']), found)
    return read


def read_by_supervision(target: Path, photos: Path, exact: bool) -> dict[str, np.ndarray]:
    supervision = pytest.importorskip('supervision', reason='supervision is not installed')
    read = {}
    for folder in sorted({Path(image_id).parent for image_id in MAPS}):  # it does not search folders recursively
        places = [str(target / 'images' / folder), str(target / 'labels' / folder), str(target / 'data.yaml')]
        data = supervision.DetectionDataset.from_yolo(*places, force_masks=True)
        for path, image, detections in data:
            masks = [] if detections.mask is None else detections.mask
            found = [(data.classes[number], mask) for number, mask in zip(detections.class_id, masks)]
            read[Path(path).relative_to(target / 'images').with_suffix('').as_posix()] = painted(image.shape[:2], found)
    return read


def read_by_fill_poly(target: Path, photos: Path, exact: bool) -> dict[str, np.ndarray]:
    """As Ultralytics does: coordinates are cut to whole pixels and filled by OpenCV."""
    names = list(VALUES.values())
    read = {}
    for image_id, labels in MAPS.items():
        found = []
        for line in (target / 'labels' / f'{image_id}.txt').read_text().splitlines():
            number, *points = line.split()
            mask = np.zeros(labels.shape, np.uint8)
            polygon = np.array(points, np.float32).reshape(-1, 2) * labels.shape[::-1]
            cv2.fillPoly(mask, [polygon.astype(np.int32)], 1)
            found.append((names[int(number)], mask))
        read[image_id] = painted(labels.shape, found)
    return read


def read_by_labelme(target: Path, photos: Path, exact: bool) -> dict[str, np.ndarray]:
    label_file = pytest.importorskip('labelme._label_file', reason='labelme is not installed', exc_type=ImportError)
    shape = pytest.importorskip('labelme.utils.shape', reason='labelme is not installed', exc_type=ImportError)
    read = {}
    numbers = {name: value for value, name in VALUES.items()}
    for image_id, labels in MAPS.items():
        content = label_file.read_label_file(str(target / f'{image_id}.json'))
        read[image_id] = shape.shapes_to_label(labels.shape, content.shapes, numbers)[0].astype(np.uint8)
    return read


def read_by_label_studio(target: Path, photos: Path, exact: bool) -> dict[str, np.ndarray]:
    converter = pytest.importorskip('label_studio_sdk.converter', reason='label-studio-sdk is not installed')
    pytest.importorskip('pycocotools', reason='pycocotools is not installed')
    (target / 'coco').mkdir()
    tool = converter.Converter((target / 'label_config.xml').read_text(), str(target), download_resources=False)
    tool.convert_to_coco(str(target / 'tasks.json'), str(target / 'coco'), is_dir=False)
    result = json.loads((target / 'coco/result.json').read_text())
    mask_api = pytest.importorskip('pycocotools.mask')
    names = {category['id']: category['name'] for category in result['categories']}
    images = {image['id']: image for image in result['images']}
    found = defaultdict(list)
    for one in result['annotations']:
        image = images[one['image_id']]
        runs = mask_api.merge(mask_api.frPyObjects(one['segmentation'], image['height'], image['width']))
        name = image['file_name'].rpartition('__')[2]  # it puts a hash before the name and leaves out folders
        found[name].append((names[one['category_id']], mask_api.decode(runs)))
    assert set(found) <= {f'{Path(image_id).name}.png' for image_id in MAPS}
    return {image_id: painted(labels.shape, found[f'{Path(image_id).name}.png']) for image_id, labels in MAPS.items()}


def read_by_datumaro(target: Path, photos: Path, exact: bool) -> dict[str, np.ndarray]:
    datumaro = pytest.importorskip('datumaro', reason='datumaro is not installed', exc_type=ImportError)
    (target.parent / 'cvat').mkdir()
    target.rename(target.parent / 'cvat/annotations.xml')
    photos.rename(target.parent / 'cvat/images')
    data = datumaro.Dataset.import_from(str(target.parent / 'cvat'), 'cvat')
    names = [label.name for label in data.categories()[datumaro.AnnotationType.label]]
    read = {}
    from_polygons = pytest.importorskip('datumaro.util.mask_tools').rles_to_mask
    for item in data:
        shape = MAPS[item.id].shape
        masks = [from_polygons([one.points], *shape[::-1]) for one in item.annotations]
        read[item.id] = painted(shape, [(names[one.label], mask) for one, mask in zip(item.annotations, masks)])
    return read


def read_by_shapely(target: Path, photos: Path, exact: bool) -> dict[str, np.ndarray]:
    shapely = pytest.importorskip('shapely', reason='shapely is not installed')
    read = {}
    for image_id, labels in MAPS.items():
        content = json.loads((target / f'{image_id}.geojson').read_text())
        rows, columns = np.indices(labels.shape) + 0.5
        found = []
        for feature in content['features']:
            polygon = shapely.geometry.shape(feature['geometry'])
            assert polygon.is_valid or not exact
            found.append((feature['properties']['classification']['name'], shapely.contains_xy(polygon, columns, rows)))
        read[image_id] = painted(labels.shape, found)
    return read


def read_by_geopandas(target: Path, photos: Path, exact: bool) -> dict[str, np.ndarray]:
    geopandas = pytest.importorskip('geopandas', reason='geopandas is not installed', exc_type=ImportError)
    shapely = pytest.importorskip('shapely', reason='shapely is not installed')
    read = {}
    for image_id, labels in MAPS.items():
        rows, columns = np.indices(labels.shape) + 0.5
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # on files without features
            frame = geopandas.read_file(target / f'{image_id}.geojson')
        classes = [one if isinstance(one, dict) else json.loads(one) for one in frame.get('classification', [])]
        masks = [shapely.contains_xy(frame.geometry[k], columns, rows) for k in range(len(classes))]
        read[image_id] = painted(labels.shape, [(one['name'], mask) for one, mask in zip(classes, masks)])
    return read


def read_by_numpy(target: Path, photos: Path, exact: bool) -> dict[str, np.ndarray]:
    with np.load(target) as content:
        assert content['values'].tolist() == list(VALUES)
        assert content['names'].tolist() == list(VALUES.values())
        assert content['colors'][1].tolist() == list(PALETTE[2])
        return {image_id: content[f'masks/{image_id}'] for image_id in MAPS}


PROGRAMS = {
    'coco': [read_by_pycocotools], 'yolo-seg': [read_by_supervision, read_by_fill_poly], 'labelme': [read_by_labelme],
    'label-studio': [read_by_label_studio], 'cvat': [read_by_datumaro], 'geojson': [read_by_shapely, read_by_geopandas],
    'npz': [read_by_numpy]
}
PAIRS = [pytest.param(kind, program, id=f'{kind}-{program.__name__.removeprefix("read_by_")}')
         for kind, programs in PROGRAMS.items() for program in programs]


def test_every_format_is_read_by_a_program():
    assert list(PROGRAMS) == list(WRITERS)
    assert set(READERS) < set(WRITERS)


@pytest.mark.parametrize(('kind', 'program'), PAIRS)
def test_programs_read_the_label_maps(kind, program, tmp_path, photos):
    read = program(export(kind, tmp_path, photos=photos), photos, exact=True)
    for image_id, labels in MAPS.items():
        np.testing.assert_array_equal(read[image_id], labels, err_msg=image_id)


def distance_to_border(labels: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel to the next one of another label, or outside."""
    distances = np.zeros(labels.shape)
    for value in np.unique(labels):
        region = np.pad(labels == value, 1).astype(np.uint8)
        distances = np.maximum(distances, cv2.distanceTransform(region, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1])
    return distances


@pytest.mark.parametrize('tolerance', [0.8, 2.0])
@pytest.mark.parametrize(('kind', 'program'), PAIRS)
def test_simplified_outlines_stay_within_the_tolerance(kind, program, tolerance, tmp_path, photos):
    target = export(kind, tmp_path, tolerance, photos)
    for image_id, read in program(target, photos, exact=False).items():
        wrong = read != MAPS[image_id]
        assert distance_to_border(MAPS[image_id])[wrong].max(initial=0) <= tolerance + 1, image_id


@pytest.mark.parametrize('kind', READERS)
def test_label_maps_come_back(kind, tmp_path):
    if kind == 'coco':
        pytest.importorskip('pycocotools', reason='COCO annotations need pycocotools')
    read = dict(READERS[kind](export(kind, tmp_path), CLASSES))
    assert set(read) == set(MAPS)
    for image_id, labels in MAPS.items():
        np.testing.assert_array_equal(read[image_id], labels, err_msg=image_id)


@pytest.mark.parametrize('kind', WRITERS)
def test_simplifying_makes_files_smaller_and_ignored_pixels_can_be_dropped(kind, tmp_path):
    sizes = []
    for k, (tolerance, keep) in enumerate([(0, True), (2, True), (0, False)]):
        (tmp_path / str(k)).mkdir()
        target = export(kind, tmp_path / str(k), tolerance, classes=ClassTable(NAMES, PALETTE, keep))
        files = sorted(target.rglob('*')) if target.is_dir() else [target]
        content = b''.join(file.read_bytes() for file in files if file.is_file())
        sizes.append(len(content))
        if kind != 'npz':
            assert (IGNORED.encode() in content) == keep
    assert sizes[2] < sizes[0]
    assert (sizes[1] < sizes[0]) == (kind != 'npz')


def test_colors_are_kept(tmp_path):
    written = {kind: export(kind, folder) for kind in WRITERS if (folder := tmp_path / kind).mkdir() is None}
    assert json.loads(written['coco'].read_text())['categories'][1] == dict(id=2, name=NAMES[1], color=[0, 128, 255])
    assert '  1: [0, 128, 255]' in (written['yolo-seg'] / 'data.yaml').read_text()
    assert json.loads((written['labelme'] / 'labelme.yaml').read_text())['label_colors'][NAMES[1]] == [0, 128, 255]
    assert 'background="#0080ff"' in (written['label-studio'] / 'label_config.xml').read_text()
    assert '<color>#0080ff</color>' in written['cvat'].read_text()
    feature = json.loads((written['geojson'] / 'full.geojson').read_text())['features'][0]
    assert feature['properties']['classification'] == dict(name=NAMES[1], color=[0, 128, 255])


def test_a_class_called_ignored_is_refused():
    with pytest.raises(UserError, match='--ignored drop'):
        ClassTable(['ignored'], PALETTE)
    ClassTable(['ignored'], PALETTE, keep_ignored=False)


# What people draw in these programs, beyond polygons


def write(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def box_map(value: int = 1) -> np.ndarray:
    labels = np.zeros((6, 8), np.uint8)
    labels[1:4, 2:7] = value
    return labels


def labelme_file(shapes: list) -> dict:
    return dict(version='5.0.0', flags={}, shapes=shapes, imagePath='x.jpg', imageData=None, imageHeight=6,
                imageWidth=8)


def test_brush_strokes_of_label_studio(tmp_path):
    brush = pytest.importorskip('label_studio_sdk.converter.brush', reason='label-studio-sdk is not installed')
    rng = np.random.default_rng(0)
    for mask in (box_map() > 0, rng.random((31, 77)) < .5, np.ones((300, 300), bool), np.zeros((3, 4), bool)):
        pixels = np.repeat(mask.astype(np.uint8).ravel() * 255, 4)
        code = brush.encode_rle(pixels)
        np.testing.assert_array_equal(decode_brush(code), pixels)
        np.testing.assert_array_equal(decode_brush(code), brush.decode_rle(code))


def label_studio_task(value: dict, kind: str) -> dict:
    result = dict(type=kind, original_width=8, original_height=6, value=value)
    return dict(data=dict(image='/data/upload/1/x.jpg'), annotations=[
        dict(result=[]), dict(result=[result]), dict(result=[], was_cancelled=True)])


def test_other_regions_of_label_studio(tmp_path):
    corners = dict(x=25, y=100 / 6, width=62.5, height=50, rotation=0, rectanglelabels=['cat'])
    file = write(tmp_path / 'x.json', [label_studio_task(corners, 'rectanglelabels'),
                                       dict(data=dict(image='y.jpg'), annotations=[])])
    (image_id, labels), = read_label_studio(file, CLASSES)
    assert image_id == 'x'
    np.testing.assert_array_equal(labels, box_map())


def test_other_shapes_of_labelme(tmp_path):
    stored = tmp_path / 'mask.png'
    Image.fromarray(np.full((3, 5), 255, np.uint8)).save(stored)
    code = base64.b64encode(stored.read_bytes()).decode()
    shapes = dict(mask=dict(points=[[2, 1], [6, 3]], mask=code), rectangle=dict(points=[[6, 1], [2, 3]]))
    for kind, shape in shapes.items():
        write(tmp_path / f'{kind}/x.json', labelme_file([dict(label='cat', shape_type=kind, **shape)]))
        (_, labels), = read_labelme(tmp_path / kind, CLASSES)
        np.testing.assert_array_equal(labels, box_map(), err_msg=kind)


def test_other_shapes_of_cvat(tmp_path):
    shapes = ('<mask label="cat" rle="0,15" left="2" top="1" width="5" height="3" z_order="1"/>'
              '<mask label="guinea pig" rle="1,2,3" left="0" top="4" width="3" height="2" z_order="2"/>'
              '<box label="tree &amp; &quot;leaf&quot;" xtl="2" ytl="1" xbr="5" ybr="4" z_order="0"/><tag label="x"/>')
    file = write(tmp_path / 'x.xml', '<annotations><version>1.1</version>'
                 f'<image id="0" name="a/x.jpg" width="8" height="6">{shapes}</image></annotations>')
    expected = box_map()
    expected[4, 1:3] = 2  # run lengths count row by row
    (image_id, labels), = read_cvat(file, CLASSES)
    assert image_id == 'a/x'
    np.testing.assert_array_equal(labels, expected)


def test_geojson_of_other_programs(tmp_path):
    square = [[[2, 1], [7, 1], [7, 4], [2, 4], [2, 1]]]
    geometry = dict(type='MultiPolygon', coordinates=[square])
    write(tmp_path / 'x.geojson', [dict(type='Feature', geometry=geometry, properties={'class': 'cat'})])
    (_, labels), = read_geojson(tmp_path, CLASSES, lambda image_id: (6, 8))
    np.testing.assert_array_equal(labels, box_map())
    with pytest.raises(UserError, match='--images'):
        list(read_geojson(tmp_path, CLASSES))


LINE = dict(label='cat', shape_type='line', points=[[1, 1], [2, 2]])
BAD = {
    'coco': [({}, 'lacks images'),
             (dict(images=[dict(id=1, file_name='x.jpg')], annotations=[], categories=[]), 'size')],
    'labelme': [([], 'x.json is not a labelme file'), (labelme_file([LINE]), 'has no area'),
                (labelme_file([{**LINE, 'label': 'cta'}]), "mean 'cat'"),
                ({**labelme_file([]), 'imageWidth': 'wide'}, 'not the size')],
    'label-studio': [([{}], 'task 1 is not a task'),
                     ([label_studio_task({'choices': ['cat']}, 'choices')], 'polygon'),
                     ([label_studio_task(dict(rle=[1, 2], brushlabels=['cat']), 'brushlabels')], 'not a task')],
    'cvat': [('<a', 'not valid XML'), ('<annotations/>', 'CVAT for images 1.1'),
             ('<annotations><image name="x" width="8" height="6"><polyline label="cat"/></image></annotations>',
              'polyline'),
             ('<annotations><image name="../x" width="8" height="6"/></annotations>', 'image id')],
    'geojson': [({}, 'not a GeoJSON file'),
                (dict(image=dict(height=6, width=8), features=[dict(
                    geometry=dict(type='Point', coordinates=[1, 1]), properties={'class': 'cat'})]), 'has no area')],
}
CASES = [(kind, *case) for kind, cases in BAD.items() for case in cases]


@pytest.mark.parametrize(('kind', 'content', 'message'), CASES)
def test_bad_files_are_one_clear_error(kind, content, message, tmp_path):
    suffix = {'cvat': '.xml', 'geojson': '.geojson'}.get(kind, '.json')
    file = write(tmp_path / f'x{suffix}', content)
    with pytest.raises(ValueError, match=message):
        list(READERS[kind](tmp_path if kind in ('labelme', 'geojson') else file, CLASSES))
