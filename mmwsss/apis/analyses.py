"""Run an analysis on models: load each, stream its images through it, and collect the numbers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.dist import all_gather_object, get_dist_info
from torch import Tensor, nn

from mmwsss.analysis import ModelAnalysis, RunAnalysis, Sample, build_analysis
from mmwsss.checkpoints import checkpoint_hash
from mmwsss.models.data_preprocessor import denormalize
from mmwsss.models.utils import resize_maps
from mmwsss.utils import closest
from mmwsss.utils.errors import UserError
from mmwsss.utils.memory import peak_memory
from mmwsss.utils.progress import ProgressLine

from .configs import strip_pretrained
from .inference import init_model

__all__ = ['RANDOM', 'START', 'LabeledModel', 'analyze_models', 'analyze_runs']

RANDOM = 'random'
"""str: In place of a checkpoint: random weights, for what does not depend on weights."""

START = 'start'
"""str: In place of a checkpoint: the weights with which the training of the config starts."""


class LabeledModel(NamedTuple):
    """A model to analyze.

    Attributes:
        label: Its name in the figure.
        cfg: Its config.
        config: The config as named by the user.
        checkpoint: Path of the weights, :data:`START` or :data:`RANDOM`.
        setting: Setting of the config that is swept, with its value for this run; empty without a sweep.
        model: Name of the model, the same for all values of the setting; empty where it is the label.
    """

    label: str
    cfg: Config
    config: str
    checkpoint: str
    setting: Mapping[str, Any] = {}
    model: str = ''


def analyze_models(name: str,
                   models: Sequence[LabeledModel],
                   options: Optional[Mapping[str, Any]] = None,
                   split: str = 'val',
                   max_images: Optional[int] = None,
                   image_ids: Optional[Sequence[str]] = None,
                   input_size: Optional[tuple[int, int]] = None,
                   device: str = 'cpu',
                   seed: int = 0) -> dict[str, Any]:
    """Run an analysis on models, each in one pass over its images, one image at a time.

    In a distributed run every process takes a share of the images; all return the same numbers.

    Args:
        name: Name of a :class:`~mmwsss.analysis.ModelAnalysis`.
        models: The models. Each reads the images with the test pipeline of its own config.
        options: Options of the analysis.
        split: ``'val'`` or ``'train'``; see :func:`~mmwsss.datasets.splits.split_images`.
        max_images: Use this many images, evenly spaced over the split. Defaults to all.
        image_ids: Use these images, by name.
        input_size: (height, width) to which the network's input is resized. Defaults to what the pipeline makes.
        device: Where the models run.
        seed: Seed of whatever an analysis draws.

    Returns:
        What the JSON file contains: ``analysis``, ``source``, ``options``, ``split``, ``seed``, ``threshold_rule``,
        ``metrics`` and ``notes`` to print, and ``runs``, with the provenance and the ``data`` of each model.

    Raises:
        FileNotFoundError: A config, a checkpoint or data do not exist.
        UserError: The analysis, an option, or the data that it needs are missing.
    """
    runs = []
    for entry in models:
        analysis, all_options = build_analysis(name, options)
        if not isinstance(analysis, ModelAnalysis):
            raise UserError(f'{name} reads work directories of trainings, not models')
        runs.append(_analyze(analysis, entry, split, max_images, image_ids, input_size, device, seed))
    return _record(name, analysis, all_options, runs, split=split, seed=seed)


def analyze_runs(name: str, work_dirs: Mapping[str, Path], options: Optional[Mapping[str, Any]] = None) -> dict:
    """Run an analysis of what trainings have left in their work directories.

    Args:
        name: Name of a :class:`~mmwsss.analysis.RunAnalysis`.
        work_dirs: Directories by label.
        options: Options of the analysis.

    Returns:
        As of :func:`analyze_models`.

    Raises:
        FileNotFoundError: A directory does not hold what is needed.
        UserError: There is no such analysis or option.
    """
    analysis, all_options = build_analysis(name, options)
    if not isinstance(analysis, RunAnalysis):
        raise UserError(f'{name} runs models: give CONFIG CHECKPOINT pairs')
    runs = [dict(label=label, work_dir=str(path), data=analysis.read(path)) for label, path in work_dirs.items()]
    return _record(name, analysis, all_options, runs)


def _record(name: str, analysis: Any, options: dict, runs: list[dict], **settings: Any) -> dict[str, Any]:
    summaries = {run['label']: analysis.summary(run['data']) for run in runs}
    metrics = {f'{label} {key}': value for label, numbers in summaries.items() for key, value in numbers.items()}
    notes = {run['label']: text for run in runs if (text := analysis.note(run['data']))}
    return dict(analysis=name, source=analysis.source, options=options, **settings, notes=notes,
                threshold_rule=analysis.threshold_rule, metrics=metrics, runs=runs)


def _analyze(analysis: ModelAnalysis, entry: LabeledModel, split: str, max_images: Optional[int],
             image_ids: Optional[Sequence[str]], input_size: Optional[tuple[int, int]], device: str,
             seed: int) -> dict[str, Any]:
    """Run one model; return its provenance and the numbers."""
    start = entry.checkpoint in (START, RANDOM)
    if entry.checkpoint == RANDOM:
        strip_pretrained(entry.cfg.model, keep_local=False)
    torch.manual_seed(seed)  # of weights without a checkpoint
    model = init_model(entry.cfg, None if start else entry.checkpoint, device).float()
    if not hasattr(model, 'backbone'):
        raise UserError(f'{type(model).__name__} of {entry.config} has no backbone to analyze')
    dataset = analysis.dataset(entry.cfg, split)
    indices = choose_images(dataset, image_ids, *(number for number in (max_images, analysis.max_images) if number))
    sizes, ids, memory = set(), [], None
    rank, world_size = get_dist_info()
    share = indices[rank::world_size]
    torch.manual_seed(seed)  # so that all models draw the same numbers
    with torch.no_grad(), ProgressLine(f'{entry.label}: images', len(share), enabled=rank == 0) as line:
        for sample in _samples(model, dataset, share, input_size):
            _check(analysis, sample, entry.config)
            if memory is None and not analysis.measures_memory:
                with peak_memory(device) as memory:
                    analysis.process(model, sample)
            else:
                analysis.process(model, sample)
            sizes.add(tuple(sample.inputs.shape[-2:]))
            ids.append(sample.image_id)
            line.advance()
    if world_size > 1:
        analysis.merge(all_gather_object(analysis.state()))
        ids = [image_id for part in all_gather_object(ids) for image_id in part]
        sizes = set().union(*all_gather_object(sizes))
    return dict(
        label=entry.label, model=entry.model or entry.label, setting=dict(entry.setting), config=entry.config,
        checkpoint=entry.checkpoint,
        sha256=None if start else checkpoint_hash(entry.checkpoint), num_images=len(ids), images=ids[:100],
        input_sizes=sorted(sizes)[:20], views=(getattr(model, 'test_cfg', None) or {}).get('cams'),
        peak_memory_mib=memory and round(memory.mib, 1), data=analysis.compute())


def choose_images(dataset: BaseDataset, image_ids: Optional[Sequence[str]] = None, *limits: int) -> list[int]:
    """Choose images of a data set.

    Args:
        dataset: The data set.
        image_ids: Names of images, in the order wanted.
        *limits: Without names, take the least of these numbers of images, evenly spaced; all without any limit.

    Returns:
        Indices.

    Raises:
        UserError: The data set has no image of such a name.
    """
    if image_ids is None:
        count = min(len(dataset), *limits) if limits else len(dataset)
        return [step * len(dataset) // count for step in range(count)]
    places = {_id_of(dataset.get_data_info(index)): index for index in range(len(dataset))}
    missing = [name for name in image_ids if name not in places]
    if missing:
        raise UserError(f'the data have no image {missing[0]}{closest(missing[0], places)}')
    return [places[name] for name in image_ids]


def _samples(model: nn.Module, dataset: BaseDataset, indices: Sequence[int],
             input_size: Optional[tuple[int, int]]) -> Iterator[Sample]:
    """Yield images as the model takes them."""
    classes = tuple(dataset.metainfo.get('classes') or ())
    for index in indices:
        data = model.data_preprocessor(pseudo_collate([dataset[index]]), False)
        inputs, (sample, ) = data['inputs'].float(), data['data_samples']
        inputs = inputs if input_size is None else resize_maps(inputs, input_size)
        colors = denormalize(model.data_preprocessor, inputs)[0].clamp(0, 255).round().to(torch.uint8)
        labels = sample.gt_label.to(inputs) if 'gt_label' in sample else None
        photo = colors.permute(1, 2, 0).cpu().numpy()
        yield Sample(inputs, photo, labels, _mask_of(sample), _id_of(sample.metainfo), sample.metainfo, classes[1:])


def _mask_of(sample: Any) -> Optional[Tensor]:
    return sample.gt_sem_seg.data[0].cpu() if 'gt_sem_seg' in sample else None


def _id_of(info: Mapping[str, Any]) -> str:
    return info.get('image_id') or Path(info['img_path']).stem


def _check(analysis: ModelAnalysis, sample: Sample, config: str) -> None:
    """Refuse data without what the analysis needs."""
    if analysis.needs_masks and sample.mask is None:
        raise UserError(f'the analysis needs masks, and the data of {config} have none: give a config whose '
                        'test_dataloader loads masks, or --data-root')
    if analysis.needs_labels and sample.image_labels is None:
        raise UserError(f'the analysis needs image labels, and the data of {config} have none: wrap the data set as '
                        "dict(type='ImageLabelDataset', ...)")
