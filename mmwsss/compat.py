"""The only module that knows about versions of the dependencies.

Three things live here: the check that the packages mmwsss stands on are there and new enough, the
declaration of torchvision's operator schemas beside a torch build they were not compiled for, and
the list of classes that torch may unpickle from mmengine's own checkpoints. All of them do nothing
where nothing is wrong, and may be called again.
"""

import importlib.metadata
import importlib.util
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple, Optional

__all__ = [
    'REQUIREMENTS', 'allow_checkpoint_globals', 'check_stack', 'checkpoint_globals',
    'declare_torchvision_schemas', 'installed_version', 'mmengine_reads'
]


class Requirement(NamedTuple):
    """The oldest version of a package that works, and who distributes it.

    Attributes:
        minimum (str): Oldest version that is meant to work.
        onedl (str): Requirement line of the maintained family.
        original (str): Requirement line of the original family.
    """

    minimum: str
    onedl: str
    original: str


REQUIREMENTS = {
    'torch': Requirement('2.1.0', 'torch', 'torch'),
    'torchvision': Requirement('0.16.0', 'torchvision', 'torchvision'),
    'mmengine': Requirement('0.10.0', 'onedl-mmengine', 'mmengine>=0.10.0'),
    'mmcv': Requirement('2.0.1', 'onedl-mmcv', 'mmcv>=2.0.1,<2.2.0'),
    'mmseg': Requirement('1.2.0', 'onedl-mmsegmentation', 'mmsegmentation>=1.2.0'),
    'mmpretrain': Requirement('1.2.0', 'onedl-mmpretrain', 'mmpretrain>=1.2.0'),
}
"""Packages by import name. Both families provide the same import names and version counts."""


def installed_version(name: str) -> Optional[str]:
    """Find the version of a package without importing it.

    What Python would import decides: a version written in the package itself comes first, the
    metadata of either family's distribution second.

    Args:
        name (str): Import name, a key of :data:`REQUIREMENTS`.

    Returns:
        str or None: The version; ``'unknown'`` where the package says none; None where Python
        finds no such package.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    source = Path(spec.origin).with_name('version.py')
    if source.is_file():
        literal = re.search(r'^__version__\s*(?::[^=]*)?=\s*["\']([^"\']+)["\']',
                            source.read_text(encoding='utf-8'), re.MULTILINE)
        if literal:
            return literal.group(1)
    for line in (REQUIREMENTS[name].onedl, REQUIREMENTS[name].original):
        try:
            return importlib.metadata.version(re.split('[<>=]', line)[0])
        except importlib.metadata.PackageNotFoundError:
            continue
    return 'unknown'


def _release(version: str) -> tuple[int, ...]:
    """Give the leading numbers of a version: ``'2.13.0+cpu'`` is ``(2, 13, 0)``."""
    numbers = re.match(r'\d+(\.\d+)*', version)
    return tuple(int(part) for part in numbers.group().split('.')) if numbers else ()


def _is_older(version: str, minimum: str) -> bool:
    """Compare release numbers; a version without numbers gets the benefit of the doubt."""
    found, needed = _release(version), _release(minimum)
    width = max(len(found), len(needed))
    return bool(found) and (found + (0,) * (width - len(found)) <
                            needed + (0,) * (width - len(needed)))


def check_stack(find_version: Callable[[str], Optional[str]] = installed_version) -> None:
    """Check that every package mmwsss stands on is there and new enough.

    Args:
        find_version (Callable): Gives the version for an import name, or None for a missing
            package. Defaults to :func:`installed_version`, which imports nothing.

    Raises:
        ImportError: Something is missing or too old. One message names every such package, the
            version found, the one needed, and the install line of both families.
    """
    problems = []
    for name, requirement in REQUIREMENTS.items():
        version = find_version(name)
        if version is None:
            problems.append(f'{name} is not installed, {requirement.minimum} or newer is needed')
        elif _is_older(version, requirement.minimum):
            problems.append(f'{name} {version} is installed, {requirement.minimum} or newer is needed')
    if problems:
        raise ImportError(_install_help(problems))


def _install_help(problems: list[str]) -> str:
    """Word the message of :func:`check_stack`."""
    onedl = ' '.join(requirement.onedl for requirement in REQUIREMENTS.values())
    original = ' '.join(f'"{requirement.original}"' for requirement in REQUIREMENTS.values())
    return '\n'.join([
        'mmwsss cannot start:', *(f'  {problem}' for problem in problems),
        'Two families of distributions provide mmengine, mmcv, mmseg and mmpretrain under the same '
        'import names. Install one of them, not both:',
        f'  maintained: pip install {onedl}',
        f'  original:   pip install {original} ftfy regex'
    ])


_TORCHVISION_SCHEMAS = {
    'nms': 'nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    'qnms': 'qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
}
_libraries = []  # a torch.library.Library takes its declarations back when it is collected


def declare_torchvision_schemas() -> bool:
    """Make ``import torchvision`` work beside a torch that its compiled operators do not fit.

    A torchvision wheel built for CUDA cannot load its operators into a CPU build of torch, and
    then fails on its first mention of one of them. Nothing here uses those operators, so it is
    enough that their schemas exist. Where the import works, nothing is declared.

    Returns:
        bool: Whether a schema had to be declared.

    Raises:
        RuntimeError: torchvision fails for another reason, or for an operator not known here.
    """
    missing = dict(_TORCHVISION_SCHEMAS)
    while True:
        try:
            import torchvision  # noqa: F401
            return len(missing) < len(_TORCHVISION_SCHEMAS)
        except RuntimeError as error:
            named = re.search(r'torchvision::(\w+)', str(error))
            if named is None or named.group(1) not in missing:
                raise
        _declare(missing.pop(named.group(1)))


def _declare(schema: str) -> None:
    """Add one operator schema to torchvision's name space, for the life of the process."""
    import torch

    library = torch.library.Library('torchvision', 'FRAGMENT')
    library.define(schema)
    _libraries.append(library)


def mmengine_reads(content: Any) -> bool:
    """Tell whether the installed mmengine and torch read ``content`` back from a checkpoint file.

    Args:
        content (Any): What :func:`torch.save` takes.

    Returns:
        bool: False where loading is refused, or no temporary file can be written to find out.
    """
    import torch
    from mmengine.runner.checkpoint import load_from_local

    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter('ignore')
            path = str(Path(folder, 'probe.pth'))
            torch.save(content, path)
            load_from_local(path, map_location='cpu')
    except (UnpicklingError, OSError):
        return False
    return True


def allow_checkpoint_globals(reads: Callable[[Any], bool] = mmengine_reads) -> bool:
    """Let torch >= 2.6 load the training state that mmengine puts into its own checkpoints.

    mmengine saves the history of the logged scalars, an object with numpy arrays and references to
    its own methods. Since 2.6, torch unpickles listed classes only, and mmengine up to 0.10.7 lists
    none, so that it cannot resume its own checkpoints. This lists what such a history consists of
    and nothing more; ``weights_only`` stays on.

    Args:
        reads (Callable): Tells whether content is read back from a checkpoint. Defaults to
            :func:`mmengine_reads`, a real attempt.

    Returns:
        bool: Whether classes had to be listed.
    """
    import numpy as np
    import torch
    from mmengine.logging import HistoryBuffer

    add_safe_globals = getattr(torch.serialization, 'add_safe_globals', None)
    history = HistoryBuffer([1.0], [1])
    if add_safe_globals is None or reads({'scalars': history, 'number': np.float64(0)}):
        return False
    add_safe_globals(checkpoint_globals())
    return True


def checkpoint_globals() -> list:
    """List what a checkpoint of mmengine holds besides tensors, for ``torch.serialization.safe_globals``.

    Returns:
        list: Classes and functions, some with the name under which pickles know them.
    """
    from mmengine.logging import HistoryBuffer

    return [HistoryBuffer, (_history_method, 'builtins.getattr'), *_numpy_globals()]


def _history_method(owner: type, name: str) -> Callable:
    """Stand in for ``getattr`` in unpickling: gives public methods of ``HistoryBuffer`` only."""
    from mmengine.logging import HistoryBuffer

    method = vars(HistoryBuffer).get(name)
    if owner is not HistoryBuffer or name.startswith('_') or not callable(method):
        raise UnpicklingError(f'refused to look up {name!r} of {owner!r}: a checkpoint may refer to '
                              'public methods of HistoryBuffer only')
    return method


def _numpy_globals() -> list:
    """List what pickled numpy arrays and scalars are made of, under their old and new names."""
    import numpy as np

    core = np._core if hasattr(np, '_core') else np.core
    functions = (core.multiarray._reconstruct, core.multiarray.scalar)
    named = [(function, f'{module}.multiarray.{function.__name__}') for function in functions
             for module in ('numpy.core', 'numpy._core')]
    dtypes = {type(np.dtype(code)) for code in ('?', 'u1', 'i4', 'i8', 'f2', 'f4', 'f8')}
    return [np.ndarray, np.dtype, *named, *dtypes]
