"""Export models to ONNX and compare the files with the models."""

import importlib
import importlib.util
import inspect
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Optional, Union

import torch
from mmengine.utils import digit_version
from torch import Tensor, nn

from mmwsss.models.data_preprocessor import swaps_channels
from mmwsss.utils import atomic_path
from mmwsss.utils.errors import UserError
from mmwsss.version import __version__

from .graphs import CAMGraph, build_graph, example_images, export_program, size_multiple, varied_shapes

__all__ = ['EXPORTERS', 'OnnxFile', 'export_onnx', 'onnx_differences']

EXPORTERS = ('torchscript', 'dynamo')
TOLERANCE = 1e-3
"""float: Largest mean difference between a file and its model, relative to the largest value if that exceeds 1."""

_OPSET = 17  # of the TorchScript exporter: the newest that PyTorch 2.1 writes
_HINTS = {'onnx': 'pip install onnx', 'onnxscript': 'pip install onnxscript, or choose the exporter torchscript',
          'onnxruntime': 'pip install onnxruntime, or leave out the check with --no-check'}


@dataclass(frozen=True)
class OnnxFile:
    """What was exported.

    Attributes:
        path: The file.
        exporter: One of :data:`EXPORTERS`.
        size: (H, W) of all images, one at a time, or None if the sizes of images and batches are free.
        multiple: Number of pixels of which the sides of images must be a multiple.
        differences: Largest absolute difference between the file and the model by output, over the sizes that were
            compared; None if nothing was compared.
        reason: Why the size is fixed; empty if it was asked for or is free.
    """

    path: Path
    exporter: str
    size: Optional[tuple[int, int]]
    multiple: int
    differences: Optional[dict[str, float]]
    reason: str = ''


def export_onnx(model: nn.Module,
                path: Union[str, os.PathLike],
                source: Optional[str] = None,
                size: Optional[Sequence[int]] = None,
                fixed: bool = False,
                exporter: Optional[str] = None,
                check: Optional[bool] = None) -> OnnxFile:
    """Export a model to an ONNX file with the classes, the palette and the normalization as metadata.

    The file takes ``images`` (B, 3, H, W) float32, normalized. It gives ``seg_logits`` (B, K, H, W), or ``logits``
    (B, C) and ``cams`` (B, C, H, W) in [0, 1]. Batches and sides of images are free if a file with free sizes can be
    written and gives what the model gives; otherwise the file is for single images of ``size``. A free size is never
    trusted without a check.

    Args:
        model (nn.Module): From :func:`~mmwsss.apis.init_model`, on the CPU.
        path (str or PathLike): The ``.onnx`` file, which is written whole or not at all.
        source (str, optional): ``'seg'`` or ``'cam'``. Defaults to ``'seg'`` if the model is a segmentor.
        size (Sequence[int], optional): (H, W) of the images, rounded up to a multiple of the patch size. Defaults to
            the crop size of the training, or (512, 512).
        fixed (bool): Whether the file is for single images of ``size`` in any case.
        exporter (str, optional): ``'torchscript'`` (``torch.jit.trace``) or ``'dynamo'`` (``torch.export``, which takes
            ten times as long and needs onnxscript and PyTorch 2.6). Defaults to the first that records the model for
            free sizes, or else to the first.
        check (bool, optional): Whether to compare the file with the model. Defaults to whether onnxruntime is
            installed.

    Returns:
        OnnxFile: What was written.

    Raises:
        UserError: A package is missing, the model cannot be exported, or the file does not give what the model gives.
    """
    onnx = _load('onnx')
    graph, exporters = build_graph(model, source), _usable(exporter)
    check = importlib.util.find_spec('onnxruntime') is not None if check is None else check
    multiple = size_multiple(model)
    size = _rounded(size or _crop_size(model), multiple)
    reason = '' if fixed or check else 'free sizes are not exported without a check by onnxruntime'
    with atomic_path(path) as tmp:
        differences = None
        for name in exporters if check and not fixed else ():
            differences, used = _try_free_sizes(graph, tmp, size, name), name
            if differences is not None:
                break
            reason = f'{" and ".join(exporters)} cannot record this model for free sizes'
        if differences is not None:
            file = OnnxFile(Path(path), used, None, multiple, differences)
        else:
            used = _write_fixed(graph, tmp, size, exporters)
            differences = _checked(graph, tmp, [(1, 3, *size)]) if check else None
            file = OnnxFile(Path(path), used, size, multiple, differences, reason)
        _add_metadata(onnx, tmp, metadata_of(graph, file))
    return file


@torch.no_grad()
def onnx_differences(graph: nn.Module, path: Union[str, os.PathLike],
                     shapes: Sequence[tuple[int, ...]]) -> dict[str, tuple[float, float]]:
    """Compare an ONNX file with the graph that it was exported from, on random images.

    Args:
        graph (nn.Module): From :func:`~mmwsss.apis.graphs.build_graph`.
        path (str or PathLike): The file.
        shapes (Sequence[tuple[int, ...]]): (B, 3, H, W) of the batches.

    Returns:
        dict[str, tuple[float, float]]: For each output, the largest absolute difference, and the largest mean
        difference of a batch, relative to the largest value if that exceeds 1.

    Raises:
        UserError: onnxruntime is missing, cannot run the file, or gives an output of another shape.
    """
    runtime = _load('onnxruntime')
    settings = runtime.SessionOptions()
    settings.log_severity_level = 4
    found = dict.fromkeys(graph.output_names, (0., 0.))
    generator = torch.Generator().manual_seed(0)
    try:
        session = runtime.InferenceSession(str(path), settings, providers=['CPUExecutionProvider'])
        for shape in shapes:
            images = torch.randn(shape, generator=generator)
            outputs = session.run(list(graph.output_names), {'images': images.numpy()})
            for name, output, expected in zip(graph.output_names, outputs, graph(images)):
                found[name] = _difference(name, torch.from_numpy(output), expected, found[name])
    except UserError:
        raise
    except Exception as error:  # onnxruntime has its own kinds of errors.
        raise UserError(f'onnxruntime cannot run the exported file: {_first_line(error)}') from error
    return found


def metadata_of(graph: nn.Module, file: OnnxFile) -> dict[str, Any]:
    """Return what the ONNX file says about itself, by key; values are written as JSON.

    Args:
        graph (nn.Module): What was exported.
        file (OnnxFile): How it was exported.

    Returns:
        dict[str, Any]: ``source``; ``classes``, background first, and ``palette``; ``channels`` (``'RGB'`` or
        ``'BGR'``), ``mean`` and ``std`` of pixel values from 0 to 255; ``size`` (H, W) or None; ``size_multiple``;
        ``threshold``, the background score of CAMs; ``config`` and ``mmwsss_version``.
    """
    model = graph.model
    meta = getattr(model, 'dataset_meta', None) or {}
    preprocessor = model.data_preprocessor
    normalizes = getattr(preprocessor, '_enable_normalize', False)
    cams = isinstance(graph, CAMGraph)
    return dict(
        source='cam' if cams else 'seg',
        classes=list(meta.get('classes') or ()),
        palette=[list(map(int, color)) for color in meta.get('palette') or ()],
        channels='RGB' if swaps_channels(preprocessor) else 'BGR',
        mean=preprocessor.mean.flatten().tolist() if normalizes else [0., 0., 0.],
        std=preprocessor.std.flatten().tolist() if normalizes else [1., 1., 1.],
        size=file.size,
        size_multiple=file.multiple,
        threshold=(model.test_cfg or {}).get('threshold', 0.5) if cams else None,
        config=Path(model.cfg.filename or '').name if hasattr(model, 'cfg') else '',
        mmwsss_version=__version__)


def _usable(exporter: Optional[str]) -> tuple[str, ...]:
    """Return the exporter that is asked for, or else those that can be used."""
    if exporter is None:
        new = digit_version(torch.__version__) >= digit_version('2.6.0')
        return EXPORTERS if new and importlib.util.find_spec('onnxscript') is not None else EXPORTERS[:1]
    if exporter not in EXPORTERS:
        raise UserError(f'exporter must be one of {", ".join(EXPORTERS)}, got {exporter!r}')
    if exporter == 'dynamo':
        _load('onnxscript')
    return (exporter, )


def _try_free_sizes(graph: nn.Module, path: Path, size: tuple[int, int], exporter: str) -> Optional[dict[str, float]]:
    """Export with free sizes and compare at several; return the differences, or None if it does not work."""
    try:
        _write(graph, path, size, exporter, True)
        return _checked(graph, path, varied_shapes(size, size_multiple(graph.model)))
    except UserError:
        return None


def _write_fixed(graph: nn.Module, path: Path, size: tuple[int, int], exporters: Sequence[str]) -> str:
    """Export for single images of one size with the first exporter that can; return its name."""
    for name in exporters[:-1]:
        try:
            _write(graph, path, size, name, False)
            return name
        except UserError:
            continue
    _write(graph, path, size, exporters[-1], False)
    return exporters[-1]


def _write(graph: nn.Module, path: Path, size: tuple[int, int], exporter: str, free: bool) -> None:
    """Run an exporter."""
    names = dict(input_names=['images'], output_names=list(graph.output_names))
    try:
        with _quiet(), torch.no_grad():
            if exporter == 'dynamo':
                program = export_program(graph, size, free)
                torch.onnx.export(program, (), str(path), dynamo=True, external_data=False, verbose=False, **names)
            else:
                known = inspect.signature(torch.onnx.export).parameters
                options = dict(dynamo=False) if 'dynamo' in known else {}
                images = example_images(graph, size, free)
                torch.onnx.export(graph, (images, ), str(path), opset_version=_OPSET, **names, **options,
                                  dynamic_axes=_axes(graph) if free else None)
    except Exception as error:  # An exporter fails with any kind of error.
        raise UserError(f'{type(graph.model).__name__} cannot be exported by {exporter}: {type(error).__name__}: '
                        f'{_first_line(error)}') from error


def _axes(graph: nn.Module) -> dict[str, dict[int, str]]:
    """Return the free sizes of the images and the outputs for the TorchScript exporter."""
    axes = dict.fromkeys(['images', *graph.output_names], {0: 'batch', 2: 'height', 3: 'width'})
    return {name: {0: 'batch'} if name == 'logits' else sides for name, sides in axes.items()}


def _checked(graph: nn.Module, path: Path, shapes: Sequence[tuple[int, ...]]) -> dict[str, float]:
    """Return the largest differences, or raise a ``UserError`` where the file gives something else than the model."""
    found = onnx_differences(graph, path, shapes)
    for name, (largest, mean) in found.items():
        if not mean <= TOLERANCE:
            raise UserError(f'the exported file gives other {name} than the model: they differ by {mean:.1e} in the '
                            f'mean and {largest:.1e} at most')
    return {name: largest for name, (largest, _) in found.items()}


def _difference(name: str, output: Tensor, expected: Tensor, worst: tuple[float, float]) -> tuple[float, float]:
    if output.shape != expected.shape:
        raise UserError(f'the exported file gives {name} of {tuple(output.shape)}, the model of '
                        f'{tuple(expected.shape)}')
    distance = (output - expected).abs()
    mean = distance.mean().item() / max(1., expected.abs().max().item())
    return max(worst[0], distance.max().item()), max(worst[1], mean)


def _add_metadata(onnx: ModuleType, path: Path, metadata: dict[str, Any]) -> None:
    content = onnx.load(str(path))
    onnx.helper.set_model_props(content, {key: json.dumps(value) for key, value in metadata.items()})
    content.producer_name = content.producer_name or 'mmwsss'
    onnx.save(content, str(path))


def _rounded(size: Sequence[int], multiple: int) -> tuple[int, int]:
    """Round sides up to a multiple."""
    if len(size) != 2 or min(size) < 1:
        raise UserError(f'size must be the height and the width in pixels, got {size}')
    height, width = (max(-(-int(side) // multiple), 2) * multiple for side in size)
    return height, width


def _crop_size(model: nn.Module) -> tuple[int, int]:
    size = getattr(model.data_preprocessor, 'size', None)
    return tuple(size) if size else (512, 512)


def _load(name: str) -> ModuleType:
    """Import an optional package."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f'the export to ONNX needs the package {name}: {_HINTS[name]}') from error


def _first_line(error: Exception) -> str:
    """Return the part of an exporter's message that says what is wrong, in one line of at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep an exporter's warnings and prints from the terminal; its errors are raised."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(disabled)
