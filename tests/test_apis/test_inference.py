from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from mmwsss.apis import inference_cams, init_model
from mmwsss.checkpoints import write_checkpoint
from mmwsss.registry import MODELS
from tests.color_cam import ColorCAM, color_cam_config
from tests.helpers import COLORS, write_config, write_voc_folder


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc_folder(tmp_path_factory.mktemp('voc'))


@pytest.fixture
def cfg(root: Path) -> Config:
    return Config(color_cam_config(root))


def save_checkpoint(path: Path, cfg: Config, **changes) -> Path:
    """What mmengine's Runner saves, with random training state."""
    model = init_model(cfg)
    content = {
        'meta': {'cfg': cfg.pretty_text, 'dataset_meta': {'classes': ('background', 'disc', 'bar')}},
        'state_dict': model.state_dict(),
        'message_hub': {'log_scalars': {'loss': HistoryBuffer([1.], [1])}},
        **changes
    }
    torch.save(content, path)
    return path


def iou(found: np.ndarray, truth: np.ndarray) -> float:
    return (found & truth).sum() / (found | truth).sum()


def test_model_from_a_path_or_a_config(cfg: Config, tmp_path: Path):
    path = write_config(cfg._cfg_dict.to_dict(), tmp_path / 'cfg.py')
    text = cfg.pretty_text
    for source in (cfg, path, str(path)):
        model = init_model(source, cfg_options={'model.test_cfg.threshold': .25})
        assert type(model) is ColorCAM
        assert not model.training
        assert model.cfg.model.test_cfg.threshold == .25
        assert model.dataset_meta['classes'] == ('background', 'disc', 'bar')
        assert len(model.dataset_meta['palette']) == 3
    assert cfg.pretty_text == text


def test_checkpoint_of_a_runner_is_loaded(cfg: Config, tmp_path: Path):
    path = save_checkpoint(tmp_path / 'a.pth', cfg, state_dict={'cam_head.colors': torch.full((2, 3), .5)})
    model = init_model(cfg, path)
    assert (model.cam_head.colors == .5).all()
    assert model.dataset_meta == {'classes': ('background', 'disc', 'bar')}
    torch.save({'module.cam_head.colors': torch.full((2, 3), .25)}, path)
    assert (init_model(cfg, path).cam_head.colors == .25).all()


def test_maps_show_the_objects_at_the_size_of_the_image(cfg: Config, root: Path):
    cfg = Config(color_cam_config(root, size=(64, 48)))
    cams = inference_cams(init_model(cfg), root / 'JPEGImages/img_002.jpg')
    mask = mmcv.imread(root / 'SegmentationClass/img_002.png', 'unchanged', backend='pillow')
    assert cams.shape == (2, *mask.shape)
    assert cams.dtype == np.float32
    assert cams.min() >= 0
    assert cams.max() <= 1
    for channel in (0, 1):
        assert iou(cams[channel] > .6, mask == channel + 1) > .6


def test_an_array_gives_the_maps_of_its_file(cfg: Config, root: Path):
    path = str(root / 'JPEGImages/img_001.jpg')
    model = init_model(cfg)
    np.testing.assert_array_equal(inference_cams(model, path), inference_cams(model, mmcv.imread(path)))


def test_labels_by_name_or_vector_mask_the_other_maps(cfg: Config, root: Path):
    path = root / 'JPEGImages/img_002.jpg'
    model = init_model(cfg)
    everything = inference_cams(model, path)
    by_name = inference_cams(model, path, image_labels=['bar'])
    assert not by_name[0].any()
    np.testing.assert_array_equal(by_name[1], everything[1])
    for vector in ([0, 1], np.array([0., 1.]), torch.tensor([False, True])):
        np.testing.assert_array_equal(inference_cams(model, path, vector), by_name)


def test_views_can_be_overridden(cfg: Config, root: Path):
    path = root / 'JPEGImages/img_000.jpg'
    model = init_model(cfg)
    single = inference_cams(model, path, 'all', scales=(1., ), flip=False)
    image = torch.from_numpy(mmcv.imread(path, channel_order='rgb').transpose(2, 0, 1).copy())[None] / 255
    raw = model.extract_cams(image)['cams'][0].relu()
    raw = raw - raw.amin((1, 2), keepdim=True)
    np.testing.assert_allclose(single, raw / (raw.amax((1, 2), keepdim=True) + 1e-5), atol=1e-6)
    assert np.abs(single - inference_cams(model, path, 'all')).max() > .01


def test_padding_of_the_preprocessor_is_cut_off(cfg: Config, root: Path):
    path = root / 'JPEGImages/img_000.jpg'
    plain = inference_cams(init_model(cfg), path, scales=(1., ), flip=False)
    cfg.model.data_preprocessor.test_cfg = {'size_divisor': 64}
    cfg.model.data_preprocessor.pad_val = 0
    padded = inference_cams(init_model(cfg), path, scales=(1., ), flip=False)
    assert padded.shape == plain.shape
    np.testing.assert_allclose(padded, plain, atol=1e-4)


def test_pretrained_weights_are_loaded_only_from_this_machine(cfg: Config, tmp_path: Path):
    local = tmp_path / 'start.pth'
    torch.save({'state_dict': {'cam_head.colors': torch.zeros(2, 3)}}, local)
    cfg.model.init_cfg = {'type': 'Pretrained', 'checkpoint': str(local)}
    assert (init_model(cfg).cam_head.colors == 0).all()
    assert (init_model(cfg, save_checkpoint(tmp_path / 'a.pth', cfg, state_dict={
        'cam_head.colors': torch.ones(2, 3)})).cam_head.colors == 1).all()
    cfg.model.init_cfg.checkpoint = 'https://example.invalid/start.pth'
    assert init_model(cfg).cam_head.colors[0].tolist() == pytest.approx(np.array(COLORS[0]) / 255)


@pytest.mark.parametrize('prefix', ['', 'timm+', 'resnet38+', 'augreg+'])
def test_a_missing_start_is_an_error(cfg: Config, tmp_path: Path, prefix: str):
    path = save_checkpoint(tmp_path / 'a.pth', cfg)
    cfg.model.init_cfg = {'type': 'Pretrained', 'checkpoint': f'{prefix}{tmp_path}/start.pth'}
    with pytest.raises(ValueError, match=r'init_cfg names the checkpoint .*start\.pth, and there is no such file'):
        init_model(cfg)
    init_model(cfg, path)  # the start is not needed
    cfg.model.init_cfg.checkpoint = 'mmwsss://none'
    with pytest.raises(ValueError, match='init_cfg names a checkpoint that does not exist: .*mmwsss://vit-micro'):
        init_model(cfg)


def test_weights_that_are_not_finite_are_refused(cfg: Config, tmp_path: Path):
    colors = torch.tensor([[1., 2, 3], [4, 5, np.nan]])
    path = save_checkpoint(tmp_path / 'a.pth', cfg, state_dict={'cam_head.colors': colors})
    with pytest.raises(ValueError, match=r'a\.pth has weights that are not finite: cam_head.colors has 1 .* of 6'):
        init_model(cfg, path)


def test_safetensors_are_loaded(cfg: Config, tmp_path: Path):
    write_checkpoint(tmp_path / 'a.safetensors', {'cam_head.colors': torch.full((2, 3), .5)}, {})
    assert (init_model(cfg, tmp_path / 'a.safetensors').cam_head.colors == .5).all()


def test_a_checkpoint_of_another_class_count_is_refused(cfg: Config, root: Path, tmp_path: Path):
    path = save_checkpoint(tmp_path / 'a.pth', cfg)
    other = Config(color_cam_config(root, colors=(*COLORS, (9, 9, 9))))
    with pytest.raises(ValueError, match=r'a.pth \(ColorCAM, 3 classes with background\) does not fit config '
                       r'given \(ColorCAM, 4 classes.*colors \(2, 3\) against \(3, 3\).*number of classes'):
        init_model(other, path)


def test_a_checkpoint_of_another_method_is_refused(cfg: Config, tmp_path: Path):
    path = save_checkpoint(
        tmp_path / 'a.pth', cfg, meta={'cfg': "model = dict(type='MCTformer')\n"},
        state_dict={f'backbone.{i}': torch.zeros(1) for i in range(5)})
    with pytest.raises(ValueError, match=r"\(MCTformer\) does not fit .*\(ColorCAM, 3 .*lacks 1 of 1 weights: "
                       r"'cam_head.colors'; it has 5 that the model does not: 'backbone.0', .* and 2 more"):
        init_model(cfg, path)


class Exploit:
    """Pickles as a call that would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target, )


def test_code_in_a_checkpoint_does_not_run(cfg: Config, tmp_path: Path):
    torch.save({'state_dict': Exploit(tmp_path / 'ran')}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a.pth is refused: it asks for pathlib\S*Path'):
        init_model(cfg, tmp_path / 'a.pth')
    save_checkpoint(tmp_path / 'b.pth', cfg, meta={'cfg': f"import pathlib\npathlib.Path('{tmp_path}/ran').touch()"},
                    state_dict={'other': torch.zeros(1)})
    with pytest.raises(ValueError, match='b.pth .* does not fit'):
        init_model(cfg, tmp_path / 'b.pth')
    assert not (tmp_path / 'ran').exists()


def test_files_that_are_no_checkpoints_are_refused(cfg: Config, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='missing.pth'):
        init_model(cfg, tmp_path / 'missing.pth')
    (tmp_path / 'text.pth').write_text('hello')
    torch.save([1], tmp_path / 'list.pth')
    torch.save({'state_dict': {}}, tmp_path / 'empty.pth')
    for name, message in (('text', 'damaged'), ('list', 'holds a list'), ('empty', 'no weights')):
        with pytest.raises(ValueError, match=f'{name}.pth.*{message}'):
            init_model(cfg, tmp_path / f'{name}.pth')


def test_wrong_configs_are_refused():
    with pytest.raises(FileNotFoundError, match=r'configs/none\.py'):
        init_model('configs/none.py')
    with pytest.raises(TypeError, match='dict'):
        init_model({'model': {}})


def test_wrong_images_and_labels_are_refused(cfg: Config, root: Path, tmp_path: Path):
    model = init_model(cfg)
    (tmp_path / 'a.jpg').write_bytes(b'no image')
    image = np.zeros((8, 8, 3), np.uint8)
    for value, error, message in ((tmp_path / 'b.jpg', FileNotFoundError, 'b.jpg'),
                                  (tmp_path / 'a.jpg', ValueError, 'a.jpg cannot be decoded'),
                                  (image[..., 0], TypeError, r'\(8, 8\)'), (image / 1., TypeError, 'float64')):
        with pytest.raises(error, match=message):
            inference_cams(model, value)
    with pytest.raises(ValueError, match=r"'dics' \(did you mean 'disc'\?\)"):
        inference_cams(model, image, ['dics'])
    with pytest.raises(ValueError, match=r'2 foreground classes.*\(3,\)'):
        inference_cams(model, image, [0, 1, 0])
    segmentor = MODELS.build({'type': 'SegDataPreProcessor'})
    with pytest.raises(TypeError, match='SegDataPreProcessor gives no CAMs'):
        inference_cams(segmentor, image)
