"""The only module that knows about versions of the dependencies."""

import torch

__all__ = ['declare_torchvision_schemas']

_TORCHVISION_SCHEMAS = {
    'nms': 'nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    'qnms': 'qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
}
_libraries = []


def declare_torchvision_schemas() -> bool:
    """Make ``import torchvision`` work beside a torch build that its compiled operators do not fit."""
    try:
        import torchvision  # noqa: F401
        return False
    except RuntimeError as error:
        if 'torchvision::' not in str(error):
            raise
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for name, schema in _TORCHVISION_SCHEMAS.items():
        library.define(schema)
    _libraries.append(library)
    import torchvision  # noqa: F401
    return True
