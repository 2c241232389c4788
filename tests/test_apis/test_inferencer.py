"""WSSSInferencer: photographs without masks and labels to label maps and scores."""

import shutil
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmwsss.apis import PhotoInput, WSSSInferencer, find_inputs, inference_cams, init_model, select_classes
from mmwsss.utils.errors import UserError
from tests.color_cam import color_cam_config
from tests.helpers import tiny_runner_cfg, write_voc_folder


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc_folder(tmp_path_factory.mktemp('voc'))


@pytest.fixture(scope='module')
def cam_cfg(root: Path) -> Config:
    return Config(color_cam_config(root))


@pytest.fixture(scope='module')
def seg_cfg(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    return Config(tiny_runner_cfg(root, tmp_path_factory.mktemp('work')))


def truth(root: Path, image_id: str) -> np.ndarray:
    return np.array(Image.open(root / f'SegmentationClass/{image_id}.png'))


def test_cams_are_labeled_where_the_classifier_finds_a_class(cam_cfg: Config, root: Path):
    inferencer = WSSSInferencer(cam_cfg, show_progress=False)
    assert inferencer.source == 'cam'
    found = inferencer(str(root / 'JPEGImages'))['predictions']
    assert [one.image_id for one in found] == [f'img_{k:03d}' for k in range(9)]
    for one in found:
        mask = truth(root, one.image_id)
        assert one.labels.dtype == np.uint8
        inner = mask != 255
        assert (one.labels == mask)[inner].mean() > .9
        assert set(one.cam_classes) == {one.classes[value] for value in np.unique(mask) if 0 < value < 255}
        assert all(0 <= score <= 1 for score in one.scores.values())
        assert list(one.scores) == ['disc', 'bar']


def test_cams_are_labeled_again_at_another_threshold(cam_cfg: Config, root: Path):
    photo = str(root / 'JPEGImages/img_002.jpg')
    inferencer = WSSSInferencer(cam_cfg, threshold=.3, show_progress=False)
    one, = inferencer(photo)['predictions']
    np.testing.assert_array_equal(inferencer.label_maps(one, .3), one.labels)
    other, = WSSSInferencer(cam_cfg, threshold=.7, post='crf', show_progress=False)(photo)['predictions']
    np.testing.assert_array_equal(inferencer.label_maps(one, .7, 'crf'), other.labels)
    with pytest.raises(UserError, match='post must be one of none, crf'):
        inferencer.label_maps(one, .7, 'par')


def test_objects_describe_the_label_map(cam_cfg: Config, root: Path):
    one, = WSSSInferencer(cam_cfg, show_progress=False)(root / 'JPEGImages/img_002.jpg')['predictions']
    assert {item['class'] for item in one.objects} == {'disc', 'bar'}
    for item in one.objects:
        region = one.labels == item['label']
        x0, y0, x1, y1 = item['box']
        assert item['pixels'] == region.sum() == region[y0:y1, x0:x1].sum()
        assert all(edge.any() for edge in (region[y0], region[y1 - 1], region[:, x0], region[:, x1 - 1]))
        assert item['area'] == round(region.mean(), 4)
        assert item['score'] == round(one.scores[item['class']], 4)
    assert one.objects[0]['pixels'] >= one.objects[1]['pixels']
    assert one.draw().shape == one.image.shape
    assert one.draw_cams().ndim == 3


def test_given_classes_replace_those_of_the_classifier(cam_cfg: Config, root: Path):
    photo = root / 'JPEGImages/img_002.jpg'
    one, = WSSSInferencer(cam_cfg, classes=['bar'], show_progress=False)(photo)['predictions']
    assert one.cam_classes == ('bar', )
    assert set(np.unique(one.labels)) == {0, 2}
    by_id = list(WSSSInferencer(cam_cfg, show_progress=False).stream(find_inputs(photo),
                                                                     image_labels={'img_002': ['disc']}))
    assert by_id[0].cam_classes == ('disc', )
    nothing, = WSSSInferencer(cam_cfg, score_threshold=1., show_progress=False)(photo)['predictions']
    assert not nothing.labels.any()
    assert nothing.cams.shape == (0, *nothing.labels.shape)
    assert nothing.objects == []


def test_select_classes():
    scores = torch.tensor([.9, .2, .6, .7])
    assert select_classes(scores).tolist() == [0, 2, 3]
    assert select_classes(scores, top_k=2).tolist() == [0, 3]
    assert select_classes(scores, .95).tolist() == []


def test_cams_keep_predicted_classes_unless_all_are_asked_for(cam_cfg: Config, root: Path):
    model = init_model(cam_cfg)
    photo = root / 'JPEGImages/img_000.jpg'  # shows a disc only
    default, everything = inference_cams(model, photo), inference_cams(model, photo, 'all')
    assert everything[1].max() > .9  # each map is normalized by itself, also that of an absent class
    assert not default[1].any()
    np.testing.assert_array_equal(default[0], everything[0])
    np.testing.assert_array_equal(inference_cams(model, photo, score_threshold=0.), everything)


def test_segmentation_equals_that_of_the_model(seg_cfg: Config, root: Path):
    torch.manual_seed(0)
    model = init_model(seg_cfg)
    photo = str(root / 'JPEGImages/img_001.jpg')
    inferencer = WSSSInferencer(model, show_progress=False)
    one, = inferencer(photo)['predictions']
    image = torch.from_numpy(mmcv.imread(photo).transpose(2, 0, 1).copy())
    sample = mmcv_sample(image)
    with torch.no_grad():
        expected = model.test_step({'inputs': [image], 'data_samples': [sample]})[0]
    np.testing.assert_array_equal(one.labels, expected.pred_sem_seg.data[0].numpy())
    np.testing.assert_allclose(list(one.scores.values()),
                               expected.seg_logits.data.softmax(0)[1:].amax((1, 2)).numpy(), rtol=1e-5)
    array, = inferencer(mmcv.imread(photo))['predictions']
    np.testing.assert_array_equal(array.labels, one.labels)


def mmcv_sample(image: torch.Tensor):
    from mmseg.structures import SegDataSample
    size = tuple(image.shape[1:])
    return SegDataSample(metainfo=dict(ori_shape=size, img_shape=size))


@pytest.mark.parametrize('options', [dict(post='crf'), dict(post='par'), dict(amp='bf16'), dict(window=24)])
def test_segmentation_with_options(seg_cfg: Config, root: Path, options: dict):
    torch.manual_seed(0)
    one, = WSSSInferencer(seg_cfg, show_progress=False, **options)(root / 'JPEGImages/img_001.jpg')['predictions']
    assert one.labels.shape == (40, 56)
    assert one.labels.max() <= 2


def test_batches_give_what_single_photographs_give(cam_cfg: Config, root: Path, tmp_path: Path):
    folder = tmp_path / 'photos'
    shutil.copytree(root / 'JPEGImages', folder)
    Image.open(folder / 'img_001.jpg').resize((30, 40)).save(folder / 'img_001.jpg')  # of another size, in between
    inferencer = WSSSInferencer(cam_cfg, show_progress=False)
    single, batched = inferencer(folder)['predictions'], inferencer(folder, batch_size=4)['predictions']
    for one, other in zip(single, batched, strict=True):
        assert one.image_id == other.image_id
        np.testing.assert_array_equal(one.labels, other.labels)


def test_large_photographs_are_shrunk_for_the_network_only(cam_cfg: Config, root: Path, monkeypatch):
    inferencer = WSSSInferencer(cam_cfg, max_side=28, show_progress=False)
    seen = []
    predict = inferencer.model.predict_cams
    monkeypatch.setattr(inferencer.model, 'predict_cams',
                        lambda x, **kwargs: seen.append(x.shape) or predict(x, **kwargs))
    one, = inferencer(root / 'JPEGImages/img_002.jpg')['predictions']
    assert seen == [(1, 3, 20, 28)]
    assert one.labels.shape == one.image.shape[:2] == (40, 56)
    mask = truth(root, 'img_002')
    assert (one.labels == mask)[mask != 255].mean() > .8


def test_visualization_is_drawn_on_request(cam_cfg: Config, root: Path):
    inferencer = WSSSInferencer(cam_cfg, show_progress=False)
    photo = root / 'JPEGImages/img_000.jpg'
    assert inferencer(photo)['visualization'] == []
    assert inferencer(photo, return_vis=True)['visualization'][0].shape == (40, 56, 3)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(source='seg'), "gives no segmentation: use source 'cam'"),
    (dict(source='cams'), "source must be one of seg, cam, got 'cams' .did you mean 'cam'"),
    (dict(post='crv'), "post must be one of none, crf, par, got 'crv'"),
    (dict(amp='half'), 'amp must be one of bf16, fp16'),
    (dict(amp='fp16', device='cpu'), 'amp fp16 takes a GPU'),
    (dict(classes=['dics']), "no class 'dics' .did you mean 'disc'"),
    (dict(window=32), 'sliding windows are for segmentation'),
])
def test_wrong_options_are_refused(cam_cfg: Config, options: dict, message: str):
    with pytest.raises(UserError, match=message):
        WSSSInferencer(cam_cfg, show_progress=False, **options)


def test_unreadable_photographs_are_named_or_skipped(cam_cfg: Config, root: Path, tmp_path: Path):
    (tmp_path / 'a.jpg').write_text('no picture')
    shutil.copy(root / 'JPEGImages/img_000.jpg', tmp_path / 'b.jpg')
    inferencer = WSSSInferencer(cam_cfg, show_progress=False)
    with pytest.raises(UserError, match='a.jpg cannot be read'):
        inferencer(tmp_path)
    failed: list[PhotoInput] = []
    found = list(inferencer.stream(find_inputs(tmp_path), on_error=lambda photo, error: failed.append(photo)))
    assert [photo.image_id for photo in failed] == ['a']
    assert [one.image_id for one in found] == ['b']


def test_inputs_of_all_kinds(tmp_path: Path):
    (tmp_path / 'sub/.hidden').mkdir(parents=True)
    for name in ('b.JPG', 'a.png', 'notes.txt', 'sub/a.jpg', 'sub/.hidden/c.jpg', '.d.jpg', 'clip.mp4'):
        (tmp_path / name).touch()
    found = find_inputs(str(tmp_path))
    assert [(one.image_id, one.kind) for one in found] == [
        ('a', 'photo'), ('b', 'photo'), ('clip', 'video'), ('sub/a', 'photo')]
    assert [one.image_id for one in find_inputs(str(tmp_path / '**/*.jpg'))] == ['a']
    twice = find_inputs([str(tmp_path / 'a.png'), str(tmp_path / 'sub/a.jpg'), 'https://example.org/x/cat%20one.jpg?s=1',
                         'camera:0', np.zeros((2, 2, 3), np.uint8)])
    assert [(one.image_id, one.kind) for one in twice] == [
        ('a', 'photo'), ('a_2', 'photo'), ('cat one', 'photo'), ('camera_0', 'camera'), ('array', 'photo')]


@pytest.mark.parametrize('name', ['nothing.jpg', '*.tif', 'empty', 'camera:front'])
def test_inputs_that_are_nothing(tmp_path: Path, name: str):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=r'does not exist|matches nothing|holds no photograph|is no camera'):
        find_inputs(name if name.startswith('camera') else str(tmp_path / name))
    with pytest.raises(TypeError, match='uint8 in BGR order'):
        find_inputs(np.zeros((4, 4)))


def test_only_maps_of_classes_that_can_be_asked_for_are_computed(cam_cfg: Config, root: Path, monkeypatch):
    inferencer = WSSSInferencer(cam_cfg, classes=['bar'], show_progress=False)
    predict, asked = inferencer.model.predict_cams, []
    monkeypatch.setattr(inferencer.model, 'predict_cams',
                        lambda x, classes: asked.append(classes) or predict(x, classes=classes))
    one, = inferencer(root / 'JPEGImages/img_002.jpg')['predictions']
    assert [classes.tolist() for classes in asked] == [[1]]
    assert one.cams.shape[0] == 1
    assert list(one.scores) == ['disc', 'bar']


def test_views_that_a_pipeline_makes_need_no_mask(seg_cfg: Config, root: Path):
    cfg = Config(seg_cfg.to_dict())
    cfg.tta_model = dict(type='mmwsss.MultiScaleTTA')
    cfg.tta_pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='TestTimeAug', transforms=[
            [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)], [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')]])]
    inferencer = WSSSInferencer(cfg, tta=True, show_progress=False)
    one, = inferencer(str(root / 'JPEGImages/img_000.jpg'))['predictions']
    assert one.labels.shape == truth(root, 'img_000').shape
