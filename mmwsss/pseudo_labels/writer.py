"""Worker processes that finish labels and write them beside the network."""

import multiprocessing
import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

import cv2
import numpy as np
import torch

from mmwsss.datasets.map_files import BACKGROUND, as_label_map, write_cams, write_label_map
from mmwsss.models.label_steps import LabelBatch, LabelPipeline
from mmwsss.models.label_steps.scores import resized_scores
from mmwsss.utils.errors import UserError
from mmwsss.utils.signals import raise_if_stopped, shield_worker

from .folder import label_note
from .label_cfg import LabelOutput

__all__ = ['LabelWriter', 'PseudoLabelError', 'TaskRunner', 'WriteTask']


class PseudoLabelError(UserError, RuntimeError):
    """An image cannot be read, a label cannot be written, or a process was killed; the message says which."""


@dataclass(frozen=True)
class WriteTask:
    """An image whose labels have to be finished and written.

    Attributes:
        image_id (str): The image.
        batches (dict[str, LabelBatch]): By output, the image after the steps that ran on the device of the model.
        paths (dict[str, Path]): By output, the file to write; those of ``'labels'`` and of the others.
        origin (str): What made the files, for :func:`~mmwsss.pseudo_labels.folder.label_note`.
        labels (dict[str, np.ndarray]): By output, labels (H, W) that are finished already.
    """

    image_id: str
    batches: dict[str, LabelBatch]
    paths: dict[str, Path]
    origin: str = ''
    labels: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def from_maps(cls, image_id: str, batch: LabelBatch, outputs: Mapping[str, LabelOutput], paths: dict[str, Path],
                  origin: str = '') -> 'WriteTask':
        """Run the steps that need the device of the model, and build the task of the remaining ones.

        Args:
            image_id (str): The image.
            batch (LabelBatch): The image and its maps, on the device of the model.
            outputs (Mapping[str, LabelOutput]): What to make.
            paths (dict[str, Path]): By output, the file to write.
            origin (str): What made the files.

        Returns:
            WriteTask: With batches on the CPU, and with the labels whose last step ran on the device.
        """
        batches, labels = {}, {}
        untouched = replace(batch, inputs=None).to('cpu')
        for name, output in outputs.items():
            pipeline, count = output.pipeline, output.pipeline.num_model_steps
            if not count or (not len(batch.classes[0]) and pipeline.labeler is not None):
                batches[name] = untouched
                continue
            found = pipeline.run(batch, 0, count)
            if pipeline.labeler is not None and count == len(pipeline.steps):
                labels[name] = _label_map(pipeline, found, image_id)
            else:
                batches[name] = replace(found, inputs=None).to('cpu')
        return cls(image_id, batches, paths, origin, labels)


class TaskRunner:
    """Finish and write the files of tasks.

    Args:
        outputs (Mapping[str, LabelOutput]): What to make; ``'labels'`` is one of them.
        palette (Sequence): RGB colors of the label maps.
    """

    def __init__(self, outputs: Mapping[str, LabelOutput], palette: Sequence) -> None:
        self.outputs = dict(outputs)
        self.palette = palette

    def __call__(self, task: WriteTask) -> np.ndarray:
        """Finish and write the files of a task.

        Args:
            task (WriteTask): The image.

        Returns:
            np.ndarray: (256,) int64, pixels of each value in the label map.

        Raises:
            PseudoLabelError: A file cannot be written.
        """
        labels = self._labels('labels', task)
        others = {name: self._result(name, task) for name in self.outputs if name != 'labels'}
        try:
            checksums = [self._write(name, result, labels.shape, task.paths[name]) for name, result in others.items()]
            # Last: it marks the image as finished.
            note = label_note(task.origin, labels, checksums)
            write_label_map(labels, task.paths['labels'], self.palette, note)
        except OSError as error:
            raise PseudoLabelError(
                f'the label of image {task.image_id} could not be written to {task.paths["labels"]}: {error}. '
                'Nothing half-written is left; the same command resumes from here') from error
        return np.bincount(labels.ravel(), minlength=256)

    def _result(self, name: str, task: WriteTask) -> Any:
        """Return labels (H, W), or a batch whose scores are the maps to save."""
        if self.outputs[name].pipeline.labeler is not None:
            return self._labels(name, task)
        pipeline, batch = self.outputs[name].pipeline, task.batches[name]
        return pipeline.run(batch, pipeline.num_model_steps)

    def _labels(self, name: str, task: WriteTask) -> np.ndarray:
        """Return the labels (H, W) uint8 of an output; an image without classes is background."""
        if name in task.labels:
            return task.labels[name]
        batch, pipeline = task.batches[name], self.outputs[name].pipeline
        if not batch.present.any():
            return np.zeros(batch.size, np.uint8)
        return _label_map(pipeline, pipeline.run(batch, pipeline.num_model_steps), task.image_id)

    def _write(self, name: str, result: Any, size: Sequence[int], path: Path) -> int:
        """Write one file beside the label map.

        Returns:
            int: The checksum of its bytes.
        """
        if isinstance(result, np.ndarray):
            write_label_map(result, path, self.palette)
        else:
            planes, channels = _planes(name, result)
            write_cams(_reduced(planes, self.outputs[name].stride), channels, size, path)
        return zlib.crc32(path.read_bytes())


class LabelWriter:
    """Finish tasks in worker processes beside the caller, or in the caller.

    While workers finish tasks, the caller computes the maps of the next images. When it is so far ahead that waiting
    would be next, it finishes a task itself: no core is idle, whichever of both takes longer. This is a context
    manager; on an error, tasks that have not begun are dropped.

    Args:
        outputs (Mapping[str, LabelOutput]): What to make; see :class:`TaskRunner`.
        palette (Sequence): RGB colors of the label maps.
        workers (int): Worker processes; with 0, the caller does the work.

    Attributes:
        worker_seconds (float): Processor time that the workers have spent on tasks that were yielded.
    """

    def __init__(self, outputs: Mapping[str, LabelOutput], palette: Sequence, workers: int = 0) -> None:
        self._make = TaskRunner(outputs, palette)
        self._workers = workers
        self._pool: Optional[ProcessPoolExecutor] = None
        self._pending: deque[Future] = deque()
        self.worker_seconds = 0.

    def __enter__(self) -> 'LabelWriter':
        if self._workers:
            self._pool = ProcessPoolExecutor(self._workers, _worker_context(), _start_worker, (self._make, ))
            self._pool.submit(os.getpid)  # workers start while the caller makes the first maps
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=kind is not None)

    def run(self, tasks: Iterable[WriteTask]) -> Iterator[np.ndarray]:
        """Submit tasks; yield the pixel counts (256,) of each when it is finished, in order.

        Raises:
            PseudoLabelError: See :meth:`write`.
        """
        for task in tasks:
            yield from self.write(task)
        yield from self.flush()

    def write(self, task: WriteTask) -> Iterator[np.ndarray]:
        """Submit a task; yield the pixel counts (256,) of the tasks that are finished by now, in order.

        Raises:
            PseudoLabelError: A file could not be written, or a worker was killed; the message says which.
        """
        if not self._pool:
            yield self._make(task)
            return
        waiting = sum(not future.done() for future in self._pending)
        self._pending.append(self._submit(task) if waiting < 2 * self._workers else self._finished(task))
        while self._pending and self._pending[0].done():
            yield self._next()

    def flush(self) -> Iterator[np.ndarray]:
        """Wait for the pending tasks; yield their pixel counts (256,)."""
        while self._pending:
            yield self._next()

    def _submit(self, task: WriteTask) -> Future:
        try:
            return self._pool.submit(_work, task)
        except BrokenProcessPool as error:
            raise _worker_died() from error

    def _finished(self, task: WriteTask) -> Future:
        """Finish a task in this process."""
        future: Future = Future()
        future.set_result((self._make(task), 0.))
        return future

    def _next(self) -> np.ndarray:
        try:
            counts, seconds = self._pending.popleft().result()
            self.worker_seconds += seconds
            return counts
        except BrokenProcessPool as error:
            raise _worker_died() from error


def _label_map(pipeline: LabelPipeline, batch: LabelBatch, image_id: str) -> np.ndarray:
    """Run the labeler on an image; return the labels (H, W) uint8."""
    return as_label_map(pipeline.label(batch)[0].cpu().numpy(), f'image {image_id}')


def _planes(name: str, batch: LabelBatch) -> tuple[np.ndarray, list[int]]:
    """Return the planes (P or 1 + P, H, W) to save, and their channels.

    Raises:
        ValueError: There are several background levels.
    """
    if batch.scores.shape[1] != 1:
        raise UserError(f'output {name!r} has {batch.scores.shape[1]} background levels, its file takes one: give '
                        'ConstantBackground a threshold, or the output a labeler')
    first = 0 if batch.has_background else 1
    planes = resized_scores(batch, batch.size)[0, 0, first:].float().cpu().numpy()
    return planes, [BACKGROUND, *batch.classes[0].tolist()][first:]


def _reduced(cams: np.ndarray, stride: int) -> np.ndarray:
    """Average maps (P, H, W) down to a fraction of their size, rounded up."""
    if stride == 1 or not len(cams):
        return cams
    size = [-(-side // stride) for side in cams.shape[1:]]
    return torch.nn.functional.interpolate(torch.from_numpy(cams)[None], size, mode='area')[0].numpy()


def _worker_died() -> PseudoLabelError:
    raise_if_stopped()  # a signal to the whole group ended the workers
    return PseudoLabelError('a labeling process was ended from outside, perhaps for want of memory: the same '
                            'command resumes from here; with --workers 1 or 0 it needs less')


def _worker_context() -> multiprocessing.context.BaseContext:
    """Return a context that starts fresh processes: forking one with threads or a GPU context is not safe."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context('forkserver' if 'forkserver' in methods else 'spawn')
    if 'forkserver' in methods:
        context.set_forkserver_preload([__name__])
    return context


_worker_make: Optional[TaskRunner] = None


def _start_worker(make: TaskRunner) -> None:
    """Set up a worker process; each uses one core."""
    global _worker_make
    threading.Thread(target=_end_with_parent, daemon=True).start()
    shield_worker()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    _worker_make = make


def _end_with_parent() -> None:
    """End this process when its parent has ended: a killed parent cannot stop its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(task: WriteTask) -> tuple[np.ndarray, float]:
    """Finish a task in a worker process; return its pixel counts and the processor time it took, in seconds."""
    start = time.process_time()
    return _worker_make(task), time.process_time() - start
