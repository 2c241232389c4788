"""Compile the layers of a backbone by ``torch.compile`` before training."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmwsss.registry import HOOKS
from mmwsss.utils.console import notify
from mmwsss.utils.errors import UserError

__all__ = ['CompileLayersHook']


@HOOKS.register_module()
class CompileLayersHook(Hook):
    """Compile each layer of a backbone by ``torch.compile``, for training and the validations in it.

    mmengine's own ``compile=True`` compiles a whole training step, the optimizer among it, which fails in PyTorch 2.13
    for optimizers with settings of single parameters. Weights keep their names: checkpoints of trainings with and
    without this hook are the same, and either resumes the other. Results differ by rounding.

    The first iterations take longer, because each layer is compiled when it runs for the first time with gradient, and
    again without. On a CPU, a layer of ViT-B takes 12 s of processor time to compile with gradient and then 1 % less
    time to run, and without gradient 6 s and 7 %: the hook is meant for GPUs, on which it has not been measured.

    Layers whose attention is observed, as in MCTformer, AReAM and TransCAM, do not run as a whole and gain nothing.

    Args:
        layers: Name of a list of layers of the model.
        dynamic: Whether what is compiled serves all sizes of images; otherwise, each size is compiled anew.
        **options: Further arguments of ``torch.compile``, such as ``mode`` and ``backend``.
    """

    def __init__(self, layers: str = 'backbone.layers', dynamic: bool = True, **options: Any) -> None:
        self.layers = layers
        self.options = dict(options, dynamic=dynamic)

    def before_train(self, runner: Runner) -> None:
        """Mark the layers, which are compiled when they run for the first time.

        Raises:
            UserError: The model has no such list of layers, or PyTorch is older than 2.2.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        try:
            layers = list(model.get_submodule(self.layers).children())
        except AttributeError:
            layers = []
        if not layers:
            raise UserError(f'CompileLayersHook: {type(model).__name__} has no layers named {self.layers!r}; set '
                            "layers to the name of a list of them, such as 'backbone.layers'")
        if not hasattr(layers[0], 'compile'):
            raise UserError('CompileLayersHook needs PyTorch 2.2 or newer')
        for layer in layers:
            layer.compile(**self.options)
        notify(f'{len(layers)} layers of {self.layers} will be compiled: the first iterations take longer')
