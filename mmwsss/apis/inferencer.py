"""Predict label maps and scores of photographs that have no labels."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Optional, Union

import mmcv
import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.infer import BaseInferencer
from rich.progress import track
from torch import Tensor, nn

from mmwsss.datasets import index_palette, inference_pipeline, keep_images
from mmwsss.datasets.inference_data import without_masks
from mmwsss.models import MultiScaleTTA, backbone_precision, check_precision
from mmwsss.models.label_steps import LabelBatch, LabelPipeline
from mmwsss.models.utils import resize_maps, without_padding
from mmwsss.pseudo_labels import expand_short_forms
from mmwsss.pseudo_labels.label_cfg import build_outputs
from mmwsss.registry import MODELS
from mmwsss.utils import closest
from mmwsss.utils.errors import UserError

from .configs import read_config
from .inference import choose_source, init_model, select_classes
from .photo_inputs import PhotoInput, find_inputs
from .predictions import PhotoPrediction

__all__ = ['WSSSInferencer']

_STEPS = dict(none=(), crf=('DenseCRF', dict(preset='toco_seg')), par=('PixelAdaptiveRefinement', {}))


class WSSSInferencer(BaseInferencer):
    """Predict photographs with a segmentor or a CAM model; masks and image labels are not needed.

    It works as mmengine's inferencers do: build it once, call it with files, folders, URLs or arrays. Use
    :meth:`stream` for many photographs: it keeps only one batch in memory.

    Args:
        model (str, PathLike, Config or nn.Module): A config, or a model from :func:`~mmwsss.apis.init_model`.
        weights (str or PathLike, optional): Checkpoint.
        device (str, optional): Such as ``'cuda:1'``. Defaults to the GPU if there is one.
        source (str, optional): ``'seg'``, the segmentation, or ``'cam'``, class activation maps of the classes that the
            classifier finds, at a threshold. Defaults to ``'seg'`` where the model is a segmentor.
        threshold (float, optional): Background score of CAMs. Defaults to the config's ``test_cfg.threshold``.
        score_threshold (float): Classes whose score is larger are selected for CAMs. Defaults to 0.5.
        top_k (int, optional): At most so many classes for each photograph, those with the largest scores.
        classes (Sequence[str], optional): The only classes that photographs show, in place of those that the classifier
            finds.
        post (str): ``'none'``, ``'crf'`` (dense CRF) or ``'par'`` (pixel-adaptive refinement).
        tta (bool): Segment with the config's test-time augmentation; CAMs use the views of ``test_cfg.cams`` anyway.
        amp (str, optional): ``'bf16'`` or ``'fp16'``: run the backbone in this precision; see
            :func:`mmwsss.models.backbone_precision`.
        max_side (int, optional): Larger photographs are shrunk to this longer side, in pixels, for the network; results
            have the photograph's own size. None keeps all sizes.
        window (int, optional): Segment in overlapping windows of this size, in pixels, for large photographs.
        show_progress (bool): Whether calls show a progress bar.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        UserError: The model cannot do what is asked.

    Examples:
        >>> from mmwsss.apis import WSSSInferencer
        >>> inferencer = WSSSInferencer('configs/toco/toco_vit-b_voc.py', 'checkpoint.pth')  # doctest: +SKIP
        >>> prediction, = inferencer('photo.jpg')['predictions']  # doctest: +SKIP
        >>> prediction.objects  # doctest: +SKIP
        [{'class': 'cat', 'label': 8, 'score': 0.98, 'pixels': 41210, 'area': 0.22, 'box': [12, 40, 280, 311]}]
    """

    def __init__(self,
                 model: Union[str, os.PathLike, Config, nn.Module],
                 weights: Union[str, os.PathLike, None] = None,
                 device: Optional[str] = None,
                 source: Optional[str] = None,
                 threshold: Optional[float] = None,
                 score_threshold: float = 0.5,
                 top_k: Optional[int] = None,
                 classes: Optional[Sequence[str]] = None,
                 post: str = 'none',
                 tta: bool = False,
                 amp: Optional[str] = None,
                 max_side: Optional[int] = 1024,
                 window: Optional[int] = None,
                 show_progress: bool = True) -> None:
        self._given = model if isinstance(model, nn.Module) else None
        cfg = read_config(model)[0] if self._given is None else self._given.cfg
        super().__init__(cfg, None if weights is None else os.fspath(weights), device, scope='mmwsss',
                         show_progress=show_progress)
        names = list((self.model.dataset_meta or {}).get('classes') or ())
        if not names:
            raise UserError('neither the config nor the checkpoint names classes: give them with --classes, or as '
                            'metainfo of test_dataloader.dataset')
        self.class_names = tuple(names)
        colors = list(self.model.dataset_meta.get('palette') or ())
        self.palette = colors + index_palette(256)[len(colors):len(names)]
        self.source = choose_source(self.model, source)
        self.score_threshold, self.top_k, self.max_side = score_threshold, top_k, max_side
        self.fixed = None if classes is None else self._indices(classes)
        check_precision(amp, self.model)
        self.amp = amp
        self._prepare_source(threshold, post, window)
        self.tta = self._build_tta() if tta and self.source == 'seg' else None

    def __call__(self, inputs: Any, batch_size: int = 1, return_vis: bool = False, **kwargs: Any) -> dict:
        """Predict photographs.

        Args:
            inputs (str, PathLike, np.ndarray or a sequence of them): See :func:`~mmwsss.apis.find_inputs`; photographs
                only.
            batch_size (int): Photographs of one size that pass the network together.
            return_vis (bool): Also draw the predictions over the photographs.
            **kwargs: ``image_labels`` of :meth:`stream`.

        Returns:
            dict: ``predictions``, a list of :class:`PhotoPrediction`; ``visualization``, a list of (H, W, 3) uint8 RGB
            arrays, empty unless asked for.

        Raises:
            UserError: An input does not exist, is a video, or cannot be read.
        """
        photos = find_inputs(inputs)
        videos = [photo.path for photo in photos if photo.kind != 'photo']
        if videos:
            raise UserError(f'{videos[0]} is no photograph: use tools/predict.py, or pass its frames as arrays')
        found = self.stream(photos, batch_size, **kwargs)
        found = list(track(found, 'predicting', len(photos)) if self.show_progress else found)
        return {'predictions': found, 'visualization': self.visualize(photos, found) if return_vis else []}

    @torch.no_grad()
    def stream(self, photos: Iterable[PhotoInput], batch_size: int = 1,
               image_labels: Optional[dict[str, Sequence[str]]] = None,
               on_error: Optional[Callable[[PhotoInput, UserError], None]] = None) -> Iterator[PhotoPrediction]:
        """Predict photographs one batch after the other, in order.

        Args:
            photos (Iterable[PhotoInput]): Photographs and frames.
            batch_size (int): Photographs of one size that pass the network together.
            image_labels (dict, optional): Names of the only classes that photographs show, by id.
            on_error (Callable, optional): Called with each photograph that cannot be read, and the error; the
                photograph is skipped.

        Yields:
            PhotoPrediction: One for each photograph.

        Raises:
            UserError: A photograph cannot be read, and there is no ``on_error``; the message names it.
        """
        batch: list[tuple[PhotoInput, dict]] = []
        for photo in photos:
            try:
                data = self.pipeline(photo)
            except UserError as error:
                if on_error is None:
                    raise
                on_error(photo, error)
                continue
            if batch and (len(batch) == batch_size or _shape(data) != _shape(batch[0][1])):
                yield from self._predict(batch, image_labels or {})
                batch = []
            batch.append((photo, data))
        if batch:
            yield from self._predict(batch, image_labels or {})

    def label_maps(self, prediction: PhotoPrediction, threshold: float, post: str = 'none') -> np.ndarray:
        """Label the CAMs of a prediction again, at another threshold.

        Args:
            prediction (PhotoPrediction): With CAMs.
            threshold (float): Background score.
            post (str): ``'none'`` or ``'crf'``.

        Returns:
            np.ndarray: (H, W) uint8, as :attr:`PhotoPrediction.labels`.
        """
        steps = self._cam_steps(threshold, _known('post', post, dict(none='none', crf='crf')))
        channels = torch.tensor([prediction.classes.index(name) - 1 for name in prediction.cam_classes])
        batch = LabelBatch.from_maps(_planes_first(prediction.image)[None], torch.from_numpy(prediction.cams)[None],
                                     channels, len(prediction.classes) - 1, image_ids=(prediction.image_id, ))
        return steps(batch)[0].cpu().numpy().astype(np.uint8)

    def visualize(self, inputs: Any, preds: Sequence[PhotoPrediction], show: bool = False,
                  **kwargs: Any) -> list[np.ndarray]:
        """Draw predictions over their photographs; returns arrays (H, W, 3) uint8 RGB."""
        return [prediction.draw() for prediction in preds]

    def postprocess(self, preds: Any, visualization: Any, return_datasample: bool = False, **kwargs: Any) -> dict:
        """Return both under their names; part of mmengine's interface."""
        return {'predictions': preds, 'visualization': visualization}

    # Preparation

    def _init_model(self, cfg: Any, weights: Optional[str], device: str = 'cpu') -> nn.Module:
        if self._given is not None:
            return self._given.to(device).eval()
        return init_model(cfg, weights, device)

    def _init_collate(self, cfg: Any) -> Callable:
        return pseudo_collate

    def _init_visualizer(self, cfg: Any) -> None:
        """Skip mmengine's visualizer: predictions draw themselves."""

    def _init_pipeline(self, cfg: Any) -> Any:
        """Return a function from a :class:`PhotoInput` to a packed sample."""
        load, *others = keep_images(inference_pipeline(cfg))
        self._load = Compose([load])
        self._load_array = Compose([dict(type='LoadImageFromNDArray')])
        self._pipeline_steps = Compose(others)
        return self._read

    def _read(self, photo: PhotoInput) -> dict:
        try:
            if photo.array is None:
                results = self._load({'img_path': photo.path})
            else:
                results = self._load_array({'img': photo.array, 'img_path': None})
        except Exception as error:  # Decoders and storage clients raise about anything.
            raise UserError(f'photograph {photo.path} cannot be read: {error}') from error
        height, width = results['img'].shape[:2]
        if self.max_side and max(height, width) > self.max_side:
            keep, results = results['img'], _shrunk(results, self.max_side / max(height, width))
            packed = self._pipeline_steps(results)
            samples = packed['data_samples']
            for sample in samples if isinstance(samples, list) else [samples]:
                sample.set_metainfo({'image': np.ascontiguousarray(keep[..., ::-1])})
            return packed
        return self._pipeline_steps(results)

    def _prepare_source(self, threshold: Optional[float], post: str, window: Optional[int]) -> None:
        """Build the label steps, and set the sliding window."""
        if self.source == 'seg':
            step = _known('post', post, _STEPS)
            options = (self.model.test_cfg or {}).get('pseudo_label_par') if post == 'par' else None
            steps = [dict(type=step[0], **(options or step[1]))] if step else []
            self.steps = LabelPipeline(steps, dict(type='Argmax'), ('background', ))
            if window:
                stride = max(window * 2 // 3, 1)
                self.model.test_cfg = ConfigDict(self.model.test_cfg or {}, mode='slide', crop_size=(window, window),
                                                 stride=(stride, stride))
            return
        if window:
            raise UserError('sliding windows are for segmentation: CAMs are normalized over the whole photograph. Use '
                            'max_side (--max-side) to limit its size')
        self.steps = self._cam_steps(threshold, _known('post', post, {name: name for name in _STEPS}))

    def _cam_steps(self, threshold: Optional[float], post: str) -> LabelPipeline:
        """Build the label steps for CAMs."""
        label_cfg = expand_short_forms(self.model.test_cfg, threshold=threshold, post=post)
        return build_outputs(label_cfg, self.model)['labels'].pipeline

    def _build_tta(self) -> nn.Module:
        if not self.cfg.get('tta_model'):
            raise UserError(f'the config {self.cfg.filename or ""} has no tta_model')
        tta = MODELS.build(dict(self.cfg.tta_model, module=self.model))
        if not isinstance(tta, MultiScaleTTA):
            raise UserError(f'tta_model is a {type(tta).__name__}; predictions need MultiScaleTTA')
        if not tta.makes_views:
            self._pipeline_steps = Compose(keep_images(without_masks(self.cfg.tta_pipeline))[1:])
        return tta.eval()

    def _indices(self, names: Sequence[str]) -> list[int]:
        """Return the foreground channels of class names, increasing."""
        foreground = self.class_names[1:]
        for name in names:
            if name not in foreground:
                raise UserError(f'the model has no class {name!r}{closest(name, foreground)}; its classes are '
                                f'{", ".join(foreground)}')
        return sorted({foreground.index(name) for name in names})

    # Prediction

    def _predict(self, batch: list[tuple[PhotoInput, dict]], image_labels: dict) -> Iterator[PhotoPrediction]:
        photos = [photo for photo, _ in batch]
        data = self.collate_fn([packed for _, packed in batch])
        with backbone_precision(self.model, self.amp):  # not while the caller works with the results
            found = list(self._segment(photos, data, image_labels) if self.source == 'seg'
                         else self._label_by_cams(photos, data, image_labels))
        yield from found

    def _segment(self, photos: Sequence[PhotoInput], data: dict,
                 image_labels: dict) -> Iterator[PhotoPrediction]:
        if self.tta is not None:
            samples = self.tta.test_step(data)
        else:
            data = self.model.data_preprocessor(data, False)
            segment = getattr(self.model, 'segment', self.model.predict)
            samples = segment(data['inputs'], data['data_samples'])
        for photo, sample in zip(photos, samples):
            image, labels = sample.metainfo['image'], sample.pred_sem_seg.data[0]
            probs = sample.seg_logits.data.float()
            if self.tta is None or (self.tta.makes_views and not self.tta.probabilities):
                probs = probs.softmax(dim=0)
            known = self._known_classes(photo, image_labels)
            if known is not None:
                probs[[k + 1 for k in range(len(probs) - 1) if k not in known]] = 0
                labels = probs.argmax(dim=0)
            if self.steps.steps:
                labels = self.steps(LabelBatch.from_probabilities(_planes_first(image), probs, photo.image_id))[0]
            scores = sample.cls_logits.float().sigmoid() if 'cls_logits' in sample else probs[1:].amax(dim=(1, 2))
            yield self._prediction(photo, image, labels, scores)

    def _label_by_cams(self, photos: Sequence[PhotoInput], data: dict,
                       image_labels: dict) -> Iterator[PhotoPrediction]:
        data = self.model.data_preprocessor(data, False)
        known = [self._known_classes(photo, image_labels) for photo in photos]
        # Maps of classes that nobody can ask for are not computed.
        wanted = None if None in known else torch.tensor(sorted(set().union(*known)) or [0])
        inputs = data['inputs']
        found = self.model.predict_cams(inputs, classes=None if wanted is None else wanted.to(inputs.device))
        for k, (photo, sample) in enumerate(zip(photos, data['data_samples'])):
            scores = found['logits'][k].float().sigmoid()
            chosen = (select_classes(scores.cpu(), self.score_threshold, self.top_k) if known[k] is None
                      else torch.tensor(known[k], dtype=torch.long))
            planes = chosen if wanted is None else torch.searchsorted(wanted, chosen)
            image = sample.metainfo['image']
            cams = without_padding(found['cams'][k:k + 1, planes.to(scores.device)].float(), sample.metainfo)
            cams = resize_maps(cams, image.shape[:2]) if len(chosen) else cams.new_zeros(1, 0, *image.shape[:2])
            labels = torch.zeros(image.shape[:2])
            if len(chosen):
                own = without_padding(data['inputs'][k:k + 1], sample.metainfo)
                labels = self.steps(LabelBatch.from_maps(
                    _planes_first(image)[None], cams, chosen, len(scores), image_ids=(photo.image_id, ), inputs=own))[0]
            yield self._prediction(photo, image, labels, scores, cams[0].cpu().numpy(), chosen)

    def _known_classes(self, photo: PhotoInput, image_labels: dict) -> Optional[list[int]]:
        """Return the channels of the classes that the caller names for a photograph; None if it names none."""
        if photo.image_id in image_labels:
            return self._indices(image_labels[photo.image_id])
        return self.fixed

    def _prediction(self, photo: PhotoInput, image: np.ndarray, labels: Tensor, scores: Tensor,
                    cams: Optional[np.ndarray] = None, chosen: Sequence[int] = ()) -> PhotoPrediction:
        foreground = self.class_names[1:]
        if len(scores) != len(foreground):
            raise UserError(f'the model scores {len(scores)} classes, the data have {len(foreground)}: give the config '
                            'that the run has written to its work directory')
        return PhotoPrediction(photo.image_id, photo.path, image, labels.cpu().numpy().astype(np.uint8),
                               self.class_names, dict(zip(foreground, scores.tolist())), self.palette, cams,
                               tuple(foreground[int(channel)] for channel in chosen))


def _planes_first(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)


def _shrunk(results: dict, factor: float) -> dict:
    """Return pipeline results with a smaller image; ``ori_shape`` stays, so that results get the original size."""
    image = mmcv.imrescale(results['img'], factor, interpolation='area')
    return {**results, 'img': image, 'img_shape': image.shape[:2]}


def _shape(data: dict) -> Any:
    """Return the shape of a packed sample's input; that of several views, which are not batched, equals no other."""
    return tuple(data['inputs'].shape) if isinstance(data['inputs'], Tensor) else object()


def _known(name: str, value: str, known: dict) -> Any:
    if value not in known:
        raise UserError(f'{name} must be one of {", ".join(known)}, got {value!r}{closest(value, known)}')
    return known[value]
