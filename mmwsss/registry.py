"""Registries of mmwsss: children of mmseg's, so that a config names mmseg parts without a prefix.

Each registry lists both packages as locations: looking a name up imports mmseg's modules too, which is what
makes ``type='FCNHead'`` work in a config whose ``default_scope`` is ``mmwsss`` before anything of mmseg was used.
"""

from typing import Optional

from mmengine.registry import Registry
from mmseg import registry as mmseg_registry

__all__ = [
    'DATASETS', 'DATA_SAMPLERS', 'HOOKS', 'LOOPS', 'METRICS', 'MODELS', 'MODEL_WRAPPERS', 'OPTIMIZERS',
    'OPTIM_WRAPPERS', 'OPTIM_WRAPPER_CONSTRUCTORS', 'PARAM_SCHEDULERS', 'TASK_UTILS', 'TRANSFORMS', 'VISBACKENDS',
    'VISUALIZERS', 'WEIGHT_INITIALIZERS'
]


def _child(name: str, parent: Registry, subpackage: str, own: Optional[str] = None) -> Registry:
    """Build the mmwsss child of an mmseg registry.

    Args:
        name: Name of the registry.
        parent: Registry of mmseg.
        subpackage: Subpackage of mmseg that defines the parts.
        own: Subpackage of mmwsss that defines the parts of the child. Defaults to ``subpackage``.
    """
    return Registry(
        name,
        parent=parent,
        scope='mmwsss',
        locations=[f'mmseg.{subpackage}', f'mmwsss.{own or subpackage}'])


DATASETS = _child('dataset', mmseg_registry.DATASETS, 'datasets')
DATA_SAMPLERS = _child('data sampler', mmseg_registry.DATA_SAMPLERS, 'datasets')
TRANSFORMS = _child('transform', mmseg_registry.TRANSFORMS, 'datasets')
MODELS = _child('model', mmseg_registry.MODELS, 'models')
MODEL_WRAPPERS = _child('model_wrapper', mmseg_registry.MODEL_WRAPPERS, 'models')
WEIGHT_INITIALIZERS = _child('weight initializer', mmseg_registry.WEIGHT_INITIALIZERS, 'models')
TASK_UTILS = _child('task util', mmseg_registry.TASK_UTILS, 'models')
HOOKS = _child('hook', mmseg_registry.HOOKS, 'engine')
LOOPS = _child('loop', mmseg_registry.LOOPS, 'engine')
OPTIMIZERS = _child('optimizer', mmseg_registry.OPTIMIZERS, 'engine')
OPTIM_WRAPPERS = _child('optim_wrapper', mmseg_registry.OPTIM_WRAPPERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child('optimizer wrapper constructor',
                                    mmseg_registry.OPTIM_WRAPPER_CONSTRUCTORS, 'engine')
PARAM_SCHEDULERS = _child('parameter scheduler', mmseg_registry.PARAM_SCHEDULERS, 'engine')
METRICS = _child('metric', mmseg_registry.METRICS, 'evaluation')
VISUALIZERS = _child('visualizer', mmseg_registry.VISUALIZERS, 'visualization', own='analysis')
VISBACKENDS = _child('vis_backend', mmseg_registry.VISBACKENDS, 'visualization', own='analysis')
