"""Load configs and point them at other data."""

import argparse
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.registry import Registry

from mmwsss.registry import DATASETS, MODELS
from mmwsss.utils import IMAGE_SUFFIXES
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.console import notify

from .class_names import foreground_classes, read_class_names
from .image_label_dataset import ImageLabelDataset
from .photo_dataset import PhotoDataset

__all__ = ['data_roots', 'dataset_configs', 'is_a', 'load_config', 'masks_beside', 'override_data', 'replace_pipelines']

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_SPLIT_FOLDERS = ('', 'ImageSets/Segmentation', 'ImageSets/Main', 'ImageSets')
_SPLIT_NAMES = dict(train=('train', 'train_aug', 'trainaug'), val=('val', 'val_part', 'test'))
_PREFIXES = dict(
    img_path=('JPEGImages', 'images', 'imgs', 'photos', 'img'),
    seg_map_path=('SegmentationClass', 'masks', 'annotations', 'labels', 'SegmentationClassAug'))


def load_config(args: argparse.Namespace, test_only: bool = False) -> Config:
    """Load the config that a tool's command line describes.

    The flags for the user's own data are applied first and ``--cfg-options`` last, so that the options can refine the
    result.

    Args:
        args (Namespace): What :func:`~mmwsss.utils.cli.add_config_arguments` and, in tools that run something,
            :func:`~mmwsss.utils.cli.add_run_arguments` add to a parser.
        test_only (bool): Prepare the test data only; see :func:`override_data`. Defaults to False.

    Returns:
        Config: With ``launcher`` and ``work_dir`` set, where ``args`` has them.

    Raises:
        FileNotFoundError: There is no such config, data root, class or label file.
    """
    cfg = read_config_file(args.config)
    if args.data_root or args.classes or args.label_file:
        override_data(cfg, args.data_root, args.classes, args.label_file, test_only)
    if args.cfg_options:
        cfg.merge_from_dict(_without_absent_parts(cfg, args.cfg_options))
    if hasattr(args, 'launcher'):
        cfg.launcher = args.launcher
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if hasattr(args, 'work_dir'):
        default = cfg.get('work_dir') or os.path.join('work_dirs', Path(args.config).stem)
        cfg.work_dir = args.work_dir or default
    return cfg


def _without_absent_parts(cfg: Config, options: dict[str, Any]) -> dict[str, Any]:
    """Leave out options for the parts of validation or test data that are switched off, with a warning."""
    kept = {}
    for key, value in options.items():
        part, dot, _ = key.partition('.')
        if dot and part.startswith(('val_', 'test_')) and part in cfg and cfg[part] is None:
            print_log(f'{key} has no effect: there is no {part}', logger='current', level=logging.WARNING)
        else:
            kept[key] = value
    return kept


def override_data(cfg: Config,
                  data_root: Optional[str] = None,
                  classes: Union[str, Sequence[str], None] = None,
                  label_file: Optional[str] = None,
                  test_only: bool = False) -> Config:
    """Change a config so that it trains and evaluates on other data.

    With ``classes``, every data set becomes a :class:`~mmwsss.datasets.PhotoDataset` with those classes, and every
    ``num_classes`` or ``num_class_tokens`` in the model that counts the old classes, without or with background, counts
    the new ones. With
    ``data_root``, split lists and folders that do not exist there are replaced by the usual ones that do
    (``ImageSets/Segmentation/train.txt`` or ``train.txt``; ``JPEGImages`` or ``images``; ``SegmentationClass`` or
    ``masks``); each replacement is logged. Where there is no training list and none for validation either, all
    photographs are trained on; where there are no masks or no list for validation, it is switched off, with a warning.

    Args:
        cfg (Config): The config to change.
        data_root (str, optional): Folder of the data.
        classes (str or Sequence[str], optional): Foreground classes: names, names separated by commas, or a text or
            JSON file. Relative paths start at the working folder, or else at the data root.
        label_file (str, optional): Image-level labels, relative to the working folder, or else to the data root.
        test_only (bool): Set ``data_root`` in the test data only, so that nothing for training or validation has to be
            there. If it has no masks, the test data become photographs without masks, all of them where there is no
            list (see :func:`~mmwsss.datasets.prediction.predict_only`). Defaults to False.

    Returns:
        Config: ``cfg`` itself.

    Raises:
        FileNotFoundError: The data root, the class list, the label file, or a folder or list that the config needs do
            not exist.
        ValueError: The config has no data set to change, or no ``num_classes`` that counts its classes and a model that
            needs one.
    """
    if data_root is None and classes is None and label_file is None:
        return cfg
    if data_root is not None and not os.path.isdir(data_root):
        raise FileNotFoundError(f'data root {data_root} does not exist')
    leaves = [(split, leaf) for split, leaf, _ in dataset_configs(cfg)]
    if not leaves:
        raise ValueError(f'the config has no data set in {", ".join(_LOADERS)}')
    root = data_root if data_root is not None else leaves[0][1].get('data_root', '')
    if classes is not None:
        _set_classes(cfg, leaves, read_class_names(_existing(classes, root, 'class list')))
    if data_root is not None:
        for split, leaf in leaves:
            if not test_only:
                _set_root(cfg, leaf, split, data_root)
            elif split == 'test':
                _set_test_root(leaf, data_root)
        if 'data_root' in cfg:
            cfg.data_root = data_root
    if label_file is not None:
        _set_label_file(cfg, os.path.abspath(_existing(label_file, root, 'label file')))
    return cfg


def dataset_configs(cfg: Config) -> Iterator[tuple[str, ConfigDict, list[ConfigDict]]]:
    """Iterate over the datasets of a config's dataloaders.

    Args:
        cfg (Config): The config.

    Yields:
        tuple: ``train``, ``val`` or ``test``; the config of a data set that holds paths; the configs of the wrappers
        around it, from the outermost.
    """
    for loader in _LOADERS:
        if cfg.get(loader):
            for leaf, wrappers in _descend(cfg[loader].dataset, []):
                yield loader.split('_')[0], leaf, wrappers


def data_roots(cfg: Config, split: Optional[str] = None) -> str:
    """Return the folders that hold the data of a config, for a message.

    Args:
        cfg (Config): The config.
        split (str, optional): ``train``, ``val`` or ``test``. Defaults to all three.

    Returns:
        str: The ``data_root`` of each data set, separated by commas; empty if the config has none.
    """
    roots = [leaf.get('data_root') for name, leaf, _ in dataset_configs(cfg) if split in (None, name)]
    return ', '.join(dict.fromkeys(str(root) for root in roots if root))


def replace_pipelines(dataset: dict, pipeline: list) -> None:
    """Replace the pipeline of a dataset config, also inside wrappers.

    Args:
        dataset (dict): Config of a dataset or of a wrapper (``dataset`` or ``datasets`` inside);
            changed in place. A wrapper that has a pipeline of its own keeps what it wraps as it is.
        pipeline (list[dict]): The new pipeline.

    Raises:
        ValueError: No dataset in the config has a pipeline.
    """
    inner = dataset.get('datasets') or [dataset['dataset']] if 'dataset' in dataset or 'datasets' in dataset else []
    if dataset.get('pipeline') is not None or not inner:
        if 'pipeline' not in dataset:
            raise ValueError(f'dataset {dataset.get("type")} has no pipeline to replace; its keys are {list(dataset)}')
        dataset['pipeline'] = pipeline
        return
    for part in inner:
        replace_pipelines(part, pipeline)


def masks_beside(judged: ConfigDict, photos: str) -> str:
    """Return the mask folder that belongs to another folder of photographs.

    Args:
        judged (ConfigDict): A data set with photographs and masks in ``data_prefix``, such as ``val2014`` and
            ``SegmentationClass/val2014``.
        photos (str): The other folder of photographs, such as ``train2014``.

    Returns:
        str: ``SegmentationClass/train2014``; the folder of masks itself where it does not name the photographs'.
    """
    prefix = judged.data_prefix
    return prefix['seg_map_path'].replace(prefix['img_path'], photos)


def _descend(node: ConfigDict, wrappers: list) -> Iterator[tuple[ConfigDict, list]]:
    """Yield the data sets at the ends of nested wrappers."""
    inner = node.get('datasets') or ([node['dataset']] if isinstance(node.get('dataset'), dict) else [])
    for part in inner:
        yield from _descend(part, [*wrappers, node])
    if not inner:
        yield node, wrappers


def _existing(value: Any, root: str, what: str) -> Any:
    """Return a path as it is or below the data root, whichever exists; anything but a path unchanged."""
    if not isinstance(value, (str, os.PathLike)) or os.path.isfile(value):
        return value
    below = os.path.join(root or '', value)
    if os.path.isfile(below):
        return below
    if what == 'class list' and not str(value).endswith(('.txt', '.json')):
        return value
    raise FileNotFoundError(f'{what} {value} does not exist, nor does {below}')


def _set_classes(cfg: Config, leaves: Sequence[tuple[str, ConfigDict]], names: tuple[str, ...]) -> None:
    """Set the classes of all datasets and the number of classes of the model."""
    old = {_count_classes(leaf, cfg) for _, leaf in leaves}
    if len(old) != 1:
        raise ValueError(f'the data sets of the config have different numbers of classes: {sorted(old)}')
    old_count = old.pop()
    for _, leaf in leaves:
        _become_photos(leaf, names)
    replaced = _replace_num_classes(cfg.get('model', {}), old_count, len(names))
    replaced += _replace_num_classes(cfg.get('tta_model', {}), old_count, len(names))
    if not replaced and old_count != len(names) and not _is_class_agnostic(cfg):
        raise ValueError(f'the model has no num_classes of {old_count} or {old_count + 1}, the number of classes of '
                         f'its data sets, so it cannot be given {len(names)} classes: set them with --cfg-options')
    if 'num_classes' in cfg:
        cfg.num_classes = len(names)
    if len(names) != old_count:
        notify(f'{len(names)} classes instead of {old_count}: {", ".join(names)}')


def _is_class_agnostic(cfg: Config) -> bool:
    """Return whether the model works with any classes, as its class declares."""
    return getattr(_class_of(cfg.get('model', {}), MODELS), 'class_agnostic', False)


def _class_of(node: dict, registry: Registry) -> Optional[type]:
    """Return the class that a config's ``type`` stands for; None if there is none of that name."""
    kind = node.get('type')
    return registry.get(kind) if isinstance(kind, str) else kind


def is_a(node: dict, parent: type) -> bool:
    """Return whether a dataset config builds a ``parent`` or a class derived from it.

    Args:
        node (dict): The config.
        parent (type): A dataset class.
    """
    kind = _class_of(node, DATASETS)
    return isinstance(kind, type) and issubclass(kind, parent)


def _count_classes(leaf: ConfigDict, cfg: Config) -> int:
    """Return the number of foreground classes that a data set's config stands for."""
    if isinstance(leaf.get('classes'), str) and 'num_classes' in cfg:
        return cfg.num_classes  # the file named there may be on another machine
    if 'classes' in leaf:
        return len(read_class_names(_existing(leaf['classes'], leaf.get('data_root', ''), 'class list')))
    classes = (leaf.get('metainfo') or {}).get('classes')
    if classes is None:
        classes = getattr(_class_of(leaf, DATASETS), 'METAINFO', {}).get('classes', ())
    return len(foreground_classes(classes))


def _become_photos(leaf: ConfigDict, names: tuple[str, ...]) -> None:
    """Turn the config of a data set into a PhotoDataset's with the given classes."""
    leaf['type'] = 'mmwsss.PhotoDataset'
    leaf['classes'] = list(names)
    for key in ('metainfo', 'img_suffix'):
        leaf.pop(key, None)


def _replace_num_classes(node: Any, old: int, new: int) -> int:
    """Replace the counts of classes without and with background, at any depth; return how many."""
    count = 0
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ('num_classes', 'num_class_tokens') and value in (old, old + 1):
                node[key] = new + (value - old)
                count += 1
            else:
                count += _replace_num_classes(value, old, new)
    elif isinstance(node, (list, tuple)):
        count = sum(_replace_num_classes(value, old, new) for value in node)
    return count


def _set_root(cfg: Config, leaf: ConfigDict, split: str, root: str) -> None:
    """Point a dataset at another folder, and disable validation if that folder has no data for it."""
    leaf['data_root'] = root
    try:
        _find_folders(leaf, split, root)
        _find_list(leaf, split, root)
    except FileNotFoundError as error:
        if split == 'train':
            raise
        for part in ('dataloader', 'cfg', 'evaluator'):
            cfg[f'{split}_{part}'] = None
        print_log(f'{split} is switched off: {error}', logger='current', level=logging.WARNING)


def _set_test_root(leaf: ConfigDict, root: str) -> None:
    """Point a test set at another folder, which need not have masks."""
    leaf['data_root'] = root
    wanted = (leaf.get('data_prefix') or {}).get('seg_map_path')
    candidates = (wanted, *_PREFIXES['seg_map_path'])
    has_masks = wanted is not None and _first_existing(root, candidates, os.path.isdir) is not None
    if not has_masks and wanted is not None:
        del leaf.data_prefix['seg_map_path']
    _find_folders(leaf, 'test', root)
    if has_masks or _first_existing(root, (leaf.get('ann_file') or '.', *_candidates('val')), os.path.isfile):
        _find_list(leaf, 'test', root)
        return
    leaf['ann_file'] = ''
    if not is_a(leaf, PhotoDataset):  # others need a list
        names = getattr(_class_of(leaf, DATASETS), 'METAINFO', {}).get('classes', ())
        _become_photos(leaf, foreground_classes((leaf.get('metainfo') or {}).get('classes') or names))


def _find_folders(leaf: ConfigDict, split: str, root: str) -> None:
    """Find the folders of images and masks below the root."""
    prefixes = leaf.setdefault('data_prefix', ConfigDict(img_path=''))
    for key, wanted in list(prefixes.items()):
        found = _first_existing(root, (wanted, *_PREFIXES.get(key, ())), os.path.isdir)
        if found is None and key == 'img_path' and _holds_images(root):
            found = ''
        if found is None:
            raise FileNotFoundError(f'{root} has no folder {wanted!r} for {key} of the {split} data, nor any of '
                                    f'{", ".join(_PREFIXES.get(key, ()))}')
        prefixes[key] = _logged(wanted, found, split)


def _find_list(leaf: ConfigDict, split: str, root: str) -> None:
    """Find the split list below the root; train on all photographs where there are no lists at all."""
    wanted = leaf.get('ann_file')
    if not wanted:
        return
    stem = 'train' if split == 'train' else 'val'
    found = _first_existing(root, (wanted, *_candidates(stem)), os.path.isfile)
    if found is None:
        others = _first_existing(root, _candidates('val'), os.path.isfile)
        if stem == 'val' or others is not None or not is_a(leaf, PhotoDataset):
            raise FileNotFoundError(f'{root} has no split list {wanted!r} for the {split} data, nor {stem}.txt: write '
                                    'one, an image id per line')
        notify(f'{root} has no split list: all its photographs are trained on')
    leaf['ann_file'] = '' if found is None else _logged(wanted, found, split)


def _candidates(stem: str) -> list[str]:
    """Return the usual paths of a split list."""
    return [os.path.join(folder, f'{name}.txt') for name in _SPLIT_NAMES[stem] for folder in _SPLIT_FOLDERS]


def _holds_images(folder: str) -> bool:
    """Return whether the folder itself contains images."""
    return any(name.lower().endswith(IMAGE_SUFFIXES) for name in os.listdir(folder))


def _first_existing(root: str, candidates: Sequence[str], exists: Any) -> Optional[str]:
    """Return the first of the relative paths that exists below the root."""
    return next((path for path in candidates if exists(os.path.join(root, path))), None)


def _logged(wanted: str, found: str, split: str) -> str:
    """Return the path found; log it where it is not the one wanted."""
    if wanted != found:
        notify(f'{split} data: {found} is used, as {wanted} does not exist')
    return found


def _set_label_file(cfg: Config, path: str) -> None:
    """Set the label file of every wrapper that reads one."""
    wrappers = [wrapper for _, _, around in dataset_configs(cfg) for wrapper in around
                if is_a(wrapper, ImageLabelDataset)]
    if not wrappers:
        raise ValueError('label_file was given, but no data set of the config is an ImageLabelDataset')
    for wrapper in wrappers:
        wrapper['label_file'] = path
    if 'label_file' in cfg:
        cfg.label_file = path
