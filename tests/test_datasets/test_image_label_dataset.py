import pickle

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from mmwsss.datasets import ImageLabelDataset, ImageLabels, IterationSampler, SampleIndex, labels_from_masks
from mmwsss.registry import DATASETS
from tests.helpers import CLASSES, PALETTE, write_voc_folder

TRAIN = [dict(type='LoadImageFromFile'), dict(type='PackWSSSInputs')]
VAL = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackWSSSInputs')]
RANDOM = [dict(type='LoadImageFromFile'), dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion'),
          dict(type='PackWSSSInputs')]


@pytest.fixture
def root(tmp_path):
    root = write_voc_folder(tmp_path / 'data', num_train=6, num_val=3)
    labels_from_masks(root / 'SegmentationClass', CLASSES).save(root / 'labels.json')
    return root


def inner(root, split='train', masks=True, **kwargs):
    prefix = dict(img_path='JPEGImages', **(dict(seg_map_path='SegmentationClass') if masks else {}))
    # Serialising collects garbage, a third of a second each time.
    return {**dict(type='BaseSegDataset', data_root=str(root), data_prefix=prefix, serialize_data=False,
                   ann_file=f'ImageSets/Segmentation/{split}.txt',
                   metainfo=dict(classes=('background', *CLASSES), palette=[list(c) for c in PALETTE])), **kwargs}


def build(root, split='train', **kwargs):
    inner_cfg = inner(root, split, **kwargs.pop('inner', {}))
    return DATASETS.build({**dict(type='ImageLabelDataset', dataset=inner_cfg, label_file='labels.json',
                                  pipeline=TRAIN), **kwargs})


def edit(root, change):
    labels = ImageLabels.load(root / 'labels.json')
    table = dict(labels.labels)
    change(table)
    ImageLabels(labels.classes, table).save(root / 'labels.json')


def test_training_needs_no_masks_and_shows_none(root):
    for path in (root / 'SegmentationClass').iterdir():
        path.unlink()
    (root / 'SegmentationClass').rmdir()
    dataset = build(root, inner=dict(serialize_data=True))
    assert len(dataset) == 6
    info = dataset.get_data_info(2)
    assert info['image_id'] == 'img_002'
    assert info['gt_label'].dtype == np.float32
    assert info['gt_label'].tolist() == [1, 1]
    assert 'seg_map_path' not in info
    assert info['seg_fields'] == []
    sample = dataset[0]['data_samples']
    assert sample.gt_label.tolist() == [1, 0]
    assert sample.image_id == 'img_000'
    assert 'gt_sem_seg' not in sample
    assert 'seg_map_path' not in sample.metainfo
    assert 'sample_seed' not in sample.metainfo
    assert dataset.metainfo['classes'] == ('background', *CLASSES)


def test_pipeline_cannot_peek(root):
    with pytest.raises(ValueError, match='ImageLabelDataset hides them'):
        build(root, pipeline=VAL)
    with pytest.raises(ValueError, match='ImageLabelDataset hides them'):
        build(root, pipeline=None, inner=dict(pipeline=VAL))


def test_validation_shows_masks_and_labels(root):
    sample = build(root, 'val', show_masks=True, pipeline=VAL)[2]['data_samples']
    assert set(sample.gt_sem_seg.data.unique().tolist()) == {0, 1, 2, 255}
    assert sample.gt_label.tolist() == [1, 1]


def test_pipeline_of_the_wrapped_dataset_is_used_where_none_is_given(root):
    dataset = build(root, pipeline=None, inner=dict(pipeline=[dict(type='LoadImageFromFile')]))
    assert dataset[1]['img'].shape == (40, 56, 3)
    assert dataset[1]['gt_label'].tolist() == [0, 1]


def test_labels_come_from_masks_where_the_file_lacks_them(root):
    edit(root, lambda table: [table.pop(f'img_00{k}') for k in (1, 2)])
    edit(root, lambda table: table.update(img_000=['bar']))
    dataset = build(root, labels_from_masks=True)
    assert dataset.gt_labels[:4].tolist() == [[0, 1], [0, 1], [1, 1], [1, 0]]
    assert build(root, labels_from_masks=True, label_file=None).gt_labels[0].tolist() == [1, 0]
    (root / 'labels.json').unlink()
    assert build(root, labels_from_masks=True).gt_labels[0].tolist() == [1, 0]
    with pytest.raises(FileNotFoundError, match=r'labels\.json'):
        build(root)


def test_labels_from_masks_follow_the_chosen_classes(root):

    @DATASETS.register_module(force=True)
    class ThreeClasses(type(DATASETS.build(inner(root)))):
        METAINFO = dict(classes=('background', 'disc', 'bar'), palette=PALETTE)

    cfg = inner(root, type='ThreeClasses', metainfo=dict(classes=('background', 'bar')))
    derived = ImageLabelDataset(cfg, labels_from_masks=True, pipeline=TRAIN, empty='keep')
    loaded = ImageLabelDataset(cfg, 'labels.json', pipeline=TRAIN, empty='keep')
    assert derived.gt_labels.tolist() == loaded.gt_labels.tolist() == [[0], [1], [1]] * 2
    del DATASETS._module_dict['ThreeClasses']


def test_npy_labels(root):
    np.save(root / 'cls_labels.npy', {f'img_00{k}': np.array([k % 2, 1], np.float32) for k in range(6)})
    assert build(root, label_file='cls_labels.npy').gt_labels[:2].tolist() == [[0, 1], [1, 1]]


def test_images_without_label_are_skipped_with_one_warning(root, monkeypatch):
    messages = []
    monkeypatch.setattr('mmwsss.datasets.image_label_dataset.print_log', lambda text, **_: messages.append(text))
    edit(root, lambda table: table.update(img_001=[], img_004=[]))
    dataset = build(root)
    assert len(messages) == 1
    assert "2 of 6 images" in messages[0]
    assert "show no class: 'img_001', 'img_004'; skipped" in messages[0]
    assert dataset.image_ids == ['img_000', 'img_002', 'img_003', 'img_005']
    assert dataset.gt_labels.tolist() == [[1, 0], [1, 1], [1, 0], [1, 1]]
    assert dataset.get_data_info(1)['image_id'] == 'img_002'
    assert dataset.get_data_info(-1)['image_id'] == 'img_005'
    assert dataset.get_cat_ids(1) == [0, 1]
    assert len(build(root, empty='keep')) == 6
    assert len(build(root, show_masks=True, pipeline=VAL)) == 6
    with pytest.raises(ValueError, match="2 of 6 images.*show no class: 'img_001', 'img_004'"):
        build(root, empty='error')


def test_ids_missing_from_the_label_file(root):
    edit(root, lambda table: [table.pop(f'img_00{k}') for k in (1, 2)])
    with pytest.raises(ValueError, match=r"2 of 6 images of .*train\.txt are missing from .*labels\.json: 'img_001'"):
        build(root)
    assert build(root, missing='skip').image_ids == ['img_000', 'img_003', 'img_004', 'img_005']


def test_unknown_classes(root):
    table = {f'img_00{k}': ['discs' if k < 2 else 'bar'] for k in range(6)}
    ImageLabels(('discs', 'bar'), table).save(root / 'labels.json')
    with pytest.raises(ValueError, match=r"'discs' \(did you mean 'disc'\?\), 2 times, first for image 'img_000'"):
        build(root)


def test_nothing_left(root):
    edit(root, lambda table: table.update({key: [] for key in table}))
    with pytest.raises(ValueError, match='none of the 6 images'):
        build(root)


def test_missing_files_are_listed_once(root):
    with (root / 'ImageSets/Segmentation/train.txt').open('a') as file:
        file.write('\n'.join(f'ghost_{k}' for k in range(8)))
    message = r'8 of 14 images of .*train\.txt do not exist: .*ghost_0\.jpg.*and 3 more'
    with pytest.raises(FileNotFoundError, match=message):
        build(root)
    (root / 'SegmentationClass/img_007.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 3 masks.*img_007\.png'):
        build(root, 'val', show_masks=True, pipeline=VAL)


@pytest.mark.parametrize('kind', ['BaseSegDataset', 'PascalVOCDataset'])
def test_wrong_paths_name_the_folder(root, kind):
    with pytest.raises(FileNotFoundError, match=r'image folder .*nowhere.*data_root='):
        build('nowhere', inner=dict(type=kind))
    with pytest.raises(FileNotFoundError, match=r"vall\.txt.*its folder holds: train\.txt, val\.txt"):
        build(root, 'vall', inner=dict(type=kind))


def test_unreadable_images(root):
    (root / 'JPEGImages/img_003.jpg').write_bytes(b'no picture')
    (root / 'JPEGImages/img_001.jpg').write_bytes((root / 'JPEGImages/img_001.jpg').read_bytes()[:400])
    with pytest.raises(ValueError, match=r'2 of 6 images.*cannot be read: .*img_001\.jpg.*img_003\.jpg'):
        build(root, verify_images=True)
    dataset = build(root)
    with pytest.raises(RuntimeError, match=r'img_003\.jpg .*cannot be processed'):
        dataset[3]


def test_wrong_arguments(root):
    with pytest.raises(ValueError, match="empty must be one of .*got 'drop'"):
        build(root, empty='drop')
    with pytest.raises(ValueError, match="missing must be one of .*got 'keep'"):
        build(root, missing='keep')
    with pytest.raises(ValueError, match='labels_from_masks=True'):
        build(root, label_file=None)
    with pytest.raises(ValueError, match='seg_map_path'):
        build(root, label_file=None, labels_from_masks=True, inner=dict(masks=False))
    with pytest.raises(TypeError, match='got int'):
        ImageLabelDataset(3, 'labels.json', pipeline=TRAIN)
    with pytest.raises(ValueError, match="'background' followed by"):
        build(root, inner=dict(metainfo=dict(classes=CLASSES)))
    with pytest.raises(IndexError):
        build(root).get_data_info(6)


def test_lazy_init(root):
    dataset = build(root, lazy_init=True)
    assert dataset.metainfo['classes'][0] == 'background'
    dataset.full_init()
    assert len(dataset) == 6


@pytest.mark.parametrize('nested', [
    lambda cfg: dict(type='ConcatDataset', datasets=[cfg, cfg]),
    lambda cfg: dict(type='RepeatDataset', dataset=cfg, times=2)])
def test_wraps_nested_datasets(root, nested):
    dataset = ImageLabelDataset(nested(inner(root)), str(root / 'labels.json'), pipeline=TRAIN)
    assert dataset.image_ids == [f'img_00{k}' for k in range(6)] * 2
    assert dataset[8]['data_samples'].gt_label.tolist() == [1, 1]
    with pytest.raises(ValueError, match='no pipeline of its own'):
        ImageLabelDataset(nested(inner(root)), str(root / 'labels.json'))


def test_image_ids_keep_subfolders(tmp_path):
    for name in ('a/x', 'b/x'):
        path = tmp_path / 'images' / f'{name}_rgb.png'
        path.parent.mkdir(parents=True)
        Image.new('RGB', (4, 4)).save(path)
    ImageLabels(('cat', 'dog'), {'a/x': ['cat'], 'b/x': ['dog']}).save(tmp_path / 'labels.json')
    cfg = dict(type='BaseSegDataset', data_root=str(tmp_path), data_prefix=dict(img_path='images'),
               img_suffix='_rgb.png', metainfo=dict(classes=('background', 'cat', 'dog')))
    dataset = ImageLabelDataset(cfg, 'labels.json', pipeline=TRAIN)
    assert dataset.image_ids == ['a/x', 'b/x']
    assert dataset.gt_labels.tolist() == [[1, 0], [0, 1]]


def as_numbers(sample):
    return sample['inputs'].float().mean().item(), sample['data_samples'].flip, sample['data_samples'].sample_seed


def test_random_transforms_follow_from_seed_and_draw(root):
    dataset = build(root, seed=1, pipeline=RANDOM)
    first = [as_numbers(dataset[SampleIndex(3, draw)]) for draw in range(8)]
    np.random.seed(99)
    assert [as_numbers(dataset[SampleIndex(3, draw)]) for draw in range(8)] == first
    assert len({numbers[0] for numbers in first}) == 8
    assert {numbers[1] for numbers in first} == {True, False}
    assert as_numbers(dataset[SampleIndex(3, 0, seed=5)]) != first[0]
    assert as_numbers(build(root, seed=2, pipeline=RANDOM)[SampleIndex(3, 0)]) != first[0]
    assert 'sample_seed' not in dataset[3]['data_samples'].metainfo
    assert 'sample_seed' not in build(root, pipeline=RANDOM)[SampleIndex(3, 0)]['data_samples'].metainfo


def test_workers_do_not_change_what_is_drawn(root):
    dataset = build(root, seed=1, pipeline=RANDOM)
    assert len(pickle.loads(pickle.dumps(dataset))) == 6

    def batches(num_workers):
        loader = iter(DataLoader(dataset, batch_size=2, sampler=IterationSampler(dataset, seed=0),
                                 num_workers=num_workers, collate_fn=pseudo_collate))
        return [[(x.float().mean().item(), s.image_id, s.sample_seed) for x, s in zip(b['inputs'], b['data_samples'])]
                for b in (next(loader) for _ in range(5))]

    assert batches(0) == batches(2)


def test_refetches_in_training_and_complains_in_testing(root):

    def give_up_on_even(results):
        return None if int(results['image_id'][-1]) % 2 == 0 else results

    dataset = build(root, pipeline=[give_up_on_even], seed=0)
    again = [dataset[SampleIndex(2, draw)]['image_id'] for draw in range(6)]
    assert [dataset[SampleIndex(2, draw)]['image_id'] for draw in range(6)] == again
    assert set(again) <= {'img_001', 'img_003', 'img_005'}
    with pytest.raises(RuntimeError, match=r'no sample for .*img_002\.jpg'):
        build(root, pipeline=[give_up_on_even], test_mode=True)[2]
    with pytest.raises(RuntimeError, match='nor for 3 others'):
        build(root, pipeline=[lambda results: None], max_refetch=3)[2]
