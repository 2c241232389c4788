"""Maps that were saved, walking along an AffinityNet's affinities into pseudo labels."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmwsss.apis import expand_short_forms, init_model, labelled_images, make_pseudo_labels
from mmwsss.datasets.map_files import read_cams, read_label_map, write_cams
from mmwsss.models import DenseCRF
from mmwsss.models.label_steps import label_probabilities
from mmwsss.models.label_steps.colors import round_trip_table
from mmwsss.pseudo_labels import MapFolder
from mmwsss.registry import MODELS
from mmwsss.utils import OutputError
from mmwsss.utils.errors import UserError
from tests.color_cam import color_cam_config
from tests.helpers import write_config, write_voc_folder

SIZE = (44, 74)


def walk(cams, **short_forms):
    """The list of a random walk of saved maps."""
    return expand_short_forms(**{'threshold': .2, 'post': 'random-walk', 'cams': cams, **short_forms})


@pytest.fixture(scope='module')
def cfg(tmp_path_factory):
    return Config(color_cam_config(write_voc_folder(tmp_path_factory.mktemp('voc'), size=SIZE)))


@pytest.fixture(scope='module')
def images(cfg):
    return labelled_images(cfg)


@pytest.fixture(scope='module')
def seeds(cfg, images, tmp_path_factory):
    """A folder of labels and maps."""
    folder = tmp_path_factory.mktemp('seeds')
    make_pseudo_labels(init_model(cfg), images, folder, expand_short_forms(threshold=.5, save_cams=True))
    return folder


@pytest.fixture(scope='module')
def net(cfg):
    cfg = Config(dict(cfg))
    cfg.model = dict(
        type='AffinityNet',
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[120] * 3, std=[60] * 3, bgr_to_rgb=True),
        backbone=dict(type='WideResNet38', base_channels=2),
        affinity_head=dict(type='AffinityHead', in_channels=(16, 32, 128), channels=(4, 4, 8)),
        test_cfg=dict(beta=60, log2_steps=1, threshold=.2))
    torch.manual_seed(0)
    return init_model(cfg)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def walked(net, images, index, seeds, background, **options):
    """The planes (1 + P, H, W) of an image by the network itself, and their mask values."""
    cams, channels = read_cams(seeds / f'cams/{images.image_ids[index]}.npz')
    sample = images[index]
    data = net.data_preprocessor(dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]))
    cams = torch.from_numpy(cams.astype(np.float32))
    planes = net.walk_cams(data['inputs'], torch.cat([background(cams), cams]), **options)
    return planes.numpy(), np.array([0, *(channels + 1)])


@pytest.mark.parametrize(('settings', 'background'), [
    ({}, lambda cams: torch.full_like(cams[:1], .2)),
    ({'threshold': None, 'background_alpha': 30}, lambda cams: (1 - cams.amax(0, keepdim=True))**30)])
def test_labels_are_the_best_planes_after_the_walk(net, images, seeds, tmp_path, settings, background):
    summary = make_pseudo_labels(net, images, tmp_path, walk(seeds, **settings))
    assert summary.num_written == 6
    seen, moved = set(), 0
    for index, image_id in enumerate(images.image_ids):
        planes, values = walked(net, images, index, seeds, background)
        found = read_label_map(tmp_path / f'{image_id}.png')
        np.testing.assert_array_equal(found, values[planes.argmax(0)])
        seen.update(np.unique(found).tolist())
        moved += (found != read_label_map(seeds / f'{image_id}.png')).sum()
    assert len(seen) > 1
    assert moved > 100


def test_dense_crf_of_the_labels_follows(net, images, seeds, tmp_path):
    """It sees the padded image, whose colors have been normalized and converted back."""
    pytest.importorskip('pydensecrf', reason='needs the optional dense CRF')
    make_pseudo_labels(net, images, tmp_path, expand_short_forms(net.test_cfg, post='random-walk-crf', cams=seeds))
    crf = DenseCRF.from_preset('transcam_label')
    for index in (0, 2):
        planes, values = walked(net, images, index, seeds, lambda cams: torch.full_like(cams[:1], .2),
                                keep_padding=True)
        assert planes.shape[1:] == (48, 80)
        labels = label_probabilities(values[planes.argmax(0)], 3)
        padded = np.full((48, 80, 3), 120, np.uint8)
        image = images[index]['data_samples'].metainfo['image']
        table = round_trip_table((.485, .456, .406), (.229, .224, .225), double=True)
        padded[:SIZE[0], :SIZE[1]] = np.stack([table[k][image[..., k]] for k in range(3)], axis=2)
        expected = crf(padded, labels).argmax(0)[:SIZE[0], :SIZE[1]]
        np.testing.assert_array_equal(read_label_map(tmp_path / f'{images.image_ids[index]}.png'), expected)


def test_folders_of_other_code_bases_without_images_that_have_no_label(net, cfg, images, seeds, tmp_path):
    """The pickled dictionaries, without a manifest, give the labels of our own files."""
    foreign = tmp_path / 'foreign'
    for image_id in images.image_ids:
        cams, channels = read_cams(seeds / f'cams/{image_id}.npz')
        write_cams(cams, channels, SIZE, foreign / f'{image_id}.npy')
    for name, folder in (('own', seeds), ('cams', seeds / 'cams'), ('foreign', foreign)):
        make_pseudo_labels(net, images, tmp_path / f'labels/{name}', walk(folder))
    labels = [[read_label_map(tmp_path / f'labels/{name}/{image_id}.png') for image_id in images.image_ids]
              for name in ('own', 'cams', 'foreign')]
    np.testing.assert_array_equal(labels[0], labels[1])
    np.testing.assert_array_equal(labels[0], labels[2])

    unlabeled = labelled_images(cfg)
    unlabeled._labels[1] = 0
    (foreign / f'{images.image_ids[1]}.npy').unlink()
    make_pseudo_labels(net, unlabeled, tmp_path / 'unlabeled', walk(foreign))
    assert not read_label_map(tmp_path / f'unlabeled/{images.image_ids[1]}.png').any()


def test_a_restarted_run_keeps_what_is_finished_and_ends_the_same(net, images, seeds, tmp_path):
    make_pseudo_labels(net, images, tmp_path, walk(seeds))
    whole = contents(tmp_path)
    assert len(whole) == 7
    (tmp_path / 'img_001.png').unlink()
    (tmp_path / 'img_003.png').write_bytes(b'cut short')
    summary = make_pseudo_labels(net, images, tmp_path, walk(seeds))
    assert (summary.num_written, summary.num_kept) == (2, 4)
    assert contents(tmp_path) == whole


def test_labels_of_other_maps_are_refused(net, images, seeds, tmp_path):
    other, labels = tmp_path / 'other', tmp_path / 'labels'
    shutil.copytree(seeds, other)
    make_pseudo_labels(net, images, labels, walk(other))
    assert len(json.loads((labels / 'pseudo_labels.json').read_text())['settings']['label_cfg']['source']['maps']) == 64
    manifest = json.loads((other / 'pseudo_labels.json').read_text())
    manifest['settings']['checkpoint'] = 'another'
    (other / 'pseudo_labels.json').write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match='made with other settings: label_cfg.source.maps is'):
        make_pseudo_labels(net, images, labels, walk(other))


def test_maps_without_manifest_are_told_apart_by_content(seeds, tmp_path):
    shutil.copytree(seeds / 'cams', tmp_path / 'maps')
    maps = MapFolder(tmp_path / 'maps')
    before = maps.identity()
    assert before == MapFolder(tmp_path / 'maps').identity()
    assert before != MapFolder(seeds).identity()
    write_cams(np.zeros((1, *SIZE)), [0], SIZE, tmp_path / 'maps/img_000.npz')
    assert maps.identity() != before


def copy_as_dictionaries(seeds, folder, first_key):
    """Write saved maps as dictionaries of other code bases, with a background plane if their keys start at 1."""
    folder.mkdir()
    for path in sorted((seeds / 'cams').glob('*.npz')):
        cams, channels = read_cams(path)
        maps = {int(channel) + first_key: plane.astype(np.float32) for channel, plane in zip(channels, cams)}
        np.save(folder / path.stem, {**({0: np.full(SIZE, .5, np.float32)} if first_key else {}), **maps})
    return folder


def test_a_background_plane_is_not_taken_for_the_first_class(cfg, images, seeds, tmp_path):
    plain, shifted = (copy_as_dictionaries(seeds, tmp_path / f'from_{key}', key) for key in (0, 1))
    model = init_model(cfg)
    for folder, options in ((plain, {}), (plain, {'first_key': 0}), (shifted, {'first_key': 1})):
        out = tmp_path / f'{folder.name}{len(options)}'
        make_pseudo_labels(model, images, out, expand_short_forms(threshold=.5, cams=folder, **options))
        for image_id in images.image_ids:
            np.testing.assert_array_equal(read_label_map(out / f'{image_id}.png'),
                                          read_label_map(seeds / f'{image_id}.png'))
    with pytest.raises(UserError, match=r'from_1: key 0 is in all 6 files and looks like a background.*--first-key 1'):
        make_pseudo_labels(model, images, tmp_path / 'no', expand_short_forms(threshold=.5, cams=shifted))
    assert not (tmp_path / 'no').exists()


def test_the_first_key_is_about_saved_maps(tmp_path):
    with pytest.raises(ValueError, match=r'first_key=1 .*--cams'):
        expand_short_forms(threshold=.5, first_key=1)
    with pytest.raises(ValueError, match='first_key must be 0 or 1, got 2'):
        MapFolder(tmp_path, first_key=2)
    assert MapFolder(tmp_path, first_key=1).identity() != MapFolder(tmp_path).identity()


def test_files_of_a_former_format_are_not_read(images, cfg, tmp_path):
    make_pseudo_labels(init_model(cfg), images, tmp_path,
                       expand_short_forms(threshold=.5, save_cams=True, cam_format='npy'))
    expected = MapFolder(tmp_path).read('img_000', np.array([0]), 2)
    write_cams(np.zeros((1, *SIZE)), [0], SIZE, tmp_path / 'cams/img_000.npz')
    np.testing.assert_array_equal(MapFolder(tmp_path).read('img_000', np.array([0]), 2), expected)
    np.testing.assert_array_equal(MapFolder(tmp_path / 'cams').read('img_000', np.array([0]), 2), expected)


@pytest.mark.parametrize('where', ['weights', 'maps'])
def test_a_walk_that_is_not_finite_names_the_image(net, images, seeds, tmp_path, where):
    folder = shutil.copytree(seeds, tmp_path / 'seeds')
    broken = copy.deepcopy(net)
    if where == 'weights':
        torch.nn.init.constant_(next(broken.affinity_head.parameters()), float('nan'))
    else:
        write_cams(np.full((1, *SIZE), np.nan), [0], SIZE, folder / 'cams/img_000.npz')
    with pytest.raises(UserError if where == 'weights' else ValueError, match="image '?img_000'?.* NaN or infinite"):
        make_pseudo_labels(broken, images, tmp_path / 'out', walk(folder))
    assert not list((tmp_path / 'out').rglob('*.png'))


def test_models_and_maps_that_do_not_go_together(net, cfg, images, seeds, tmp_path):
    with pytest.raises(ValueError, match=r"AffinityNet has no CAMs of its own.*--cams.*--post random-walk"):
        make_pseudo_labels(net, images, tmp_path, expand_short_forms(threshold=.5))
    with pytest.raises(ValueError, match=r"needs an AffinityNet \(configs/psa\).*ColorCAM is none"):
        make_pseudo_labels(init_model(cfg), images, tmp_path, walk(seeds))
    with pytest.raises(ValueError, match=r"RandomWalk needs an AffinityNet.*--cams FOLDER"):
        make_pseudo_labels(init_model(cfg), images, tmp_path, walk(None))
    with pytest.raises(ValueError, match='config and checkpoint of an AffinityNet together'):
        MODELS.build(dict(type='RandomWalk', config='configs/psa/psa_wr38_voc.py'))
    assert not list(tmp_path.iterdir())


def test_saved_maps_are_labeled_without_a_walk_too(cfg, images, seeds, tmp_path):
    """The same labels as from the model itself, whatever the flags; two backgrounds may walk."""
    make_pseudo_labels(init_model(cfg), images, tmp_path / 'own', expand_short_forms(threshold=.4, high=.6))
    make_pseudo_labels(init_model(cfg), images, tmp_path / 'saved',
                       expand_short_forms(threshold=.4, high=.6, cams=seeds))
    differs = [read_label_map(tmp_path / f'own/{one}.png') != read_label_map(tmp_path / f'saved/{one}.png')
               for one in images.image_ids]
    assert np.mean(differs) < .01, 'but for half precision'


def test_two_backgrounds_walk_side_by_side(net, images, seeds, tmp_path):
    make_pseudo_labels(net, images, tmp_path, walk(seeds, threshold=.1, high=.3))
    for index in (0, 2):
        labels = []
        for threshold in (.1, .3):
            planes, values = walked(net, images, index, seeds, lambda cams, t=threshold: torch.full_like(cams[:1], t))
            labels.append(values[planes.argmax(0)])
        expected = np.where(labels[1] > 0, labels[1], np.where(labels[0] > 0, 255, 0))
        np.testing.assert_array_equal(read_label_map(tmp_path / f'{images.image_ids[index]}.png'), expected)


def test_maps_walk_in_the_pass_that_makes_them(net, cfg, images, tmp_path):
    """With a network of its own, the step needs no saved maps; its weights are part of the manifest."""
    write_config(net.cfg.to_dict(), tmp_path / 'net.py')
    torch.save({'state_dict': net.state_dict()}, tmp_path / 'net.pth')
    model = init_model(cfg)
    saved = expand_short_forms(threshold=.5, save_cams=True, cam_format='npy')
    make_pseudo_labels(model, images, tmp_path / 'maps', saved)
    make_pseudo_labels(net, images, tmp_path / 'two', walk(tmp_path / 'maps'))
    own = dict(type='RandomWalk', config=str(tmp_path / 'net.py'), checkpoint=str(tmp_path / 'net.pth'))
    label_cfg = dict(steps=[dict(type='ConstantBackground', threshold=.2), own], labeler=dict(type='Argmax'))
    make_pseudo_labels(model, images, tmp_path / 'one', label_cfg, workers=1)
    for image_id in images.image_ids:
        one, two = (read_label_map(tmp_path / f'{name}/{image_id}.png') for name in ('one', 'two'))
        np.testing.assert_array_equal(one, two)
    manifest = json.loads((tmp_path / 'one/pseudo_labels.json').read_text())['settings']['label_cfg']
    assert len(manifest['steps'][1]['weights']) == 64
    assert manifest['steps'][1]['beta'] == 60


@pytest.mark.parametrize('name', ['', 'cams', 'new', 'cams/new'])
def test_labels_do_not_go_where_the_maps_are(net, images, seeds, tmp_path, name):
    shutil.copytree(seeds, tmp_path / 'maps')
    before = contents(tmp_path)
    with pytest.raises(OutputError, match='is the same as|lies inside'):
        make_pseudo_labels(net, images, tmp_path / 'maps' / name, walk(tmp_path / 'maps'), overwrite=True)
    assert contents(tmp_path) == before


def test_the_network_s_own_classes_do_not_matter(net, images, seeds, tmp_path):
    meta = net.dataset_meta
    net.dataset_meta = dict(classes=('background', 'cat', 'dog', 'cow'))
    assert make_pseudo_labels(net, images, tmp_path, walk(seeds)).num_written == 6
    net.dataset_meta = meta


def test_maps_that_are_not_there(net, images, seeds, tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere does not exist; .*--save-cams'):
        make_pseudo_labels(net, images, tmp_path / 'out', walk(tmp_path / 'nowhere'))
    shutil.copytree(seeds / 'cams', tmp_path / 'maps')
    (tmp_path / 'maps/img_004.npz').unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 6 images have no CAMs in .*'img_004.npz'. Make them with"):
        make_pseudo_labels(net, images, tmp_path / 'out', walk(tmp_path / 'maps'))
    assert not (tmp_path / 'out').exists()


def test_maps_of_other_classes(net, images, seeds, tmp_path):
    shutil.copytree(seeds, tmp_path / 'maps')
    manifest = json.loads((seeds / 'pseudo_labels.json').read_text())
    manifest['settings']['classes'] = ['disc', 'bar', 'ring']
    (tmp_path / 'maps/pseudo_labels.json').write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"of 3 classes \('disc', 'bar', 'ring'\), the data have 2"):
        make_pseudo_labels(net, images, tmp_path / 'out', walk(tmp_path / 'maps'))
    (tmp_path / 'maps/pseudo_labels.json').unlink()
    write_cams(np.zeros((2, *SIZE)), [0, 7], SIZE, tmp_path / 'maps/cams/img_002.npz')
    with pytest.raises(ValueError, match=r'img_002.npz has a map of class 8, the data have 2'):
        make_pseudo_labels(net, images, tmp_path / 'out', walk(tmp_path / 'maps'))
    write_cams(np.zeros((1, *SIZE)), [0], SIZE, tmp_path / 'maps/cams/img_002.npz')
    with pytest.raises(ValueError, match=r'img_002.npz has maps of the classes \[1\], the image labels name \[2\]'):
        make_pseudo_labels(net, images, tmp_path / 'out', walk(tmp_path / 'maps'), overwrite=True)
