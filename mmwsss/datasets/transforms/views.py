"""Further views of a training image."""

from collections.abc import Sequence

from mmcv.transforms import BaseTransform, Compose

from mmwsss.registry import TRANSFORMS

__all__ = ['AddViews']


@TRANSFORMS.register_module()
class AddViews(BaseTransform):
    """Make views of an image by other transforms, beside the image itself, such as one in strongly changed colors.

    Args:
        **views: Transforms of each view by its name, which is neither ``'main'`` nor taken by an earlier transform. All
            views start from a copy of the image as it is in the pipeline.

    Raises:
        ValueError: A view is called ``'main'``, which is the image itself.
    """

    def __init__(self, **views: Sequence[dict]) -> None:
        if 'main' in views:
            raise ValueError("a view must not be called 'main': that is the pipeline's img")
        self.views = {name: Compose(steps) for name, steps in views.items()}

    def transform(self, results: dict) -> dict:
        """Add ``views``, arrays (H, W, 3) by name, to those that there are."""
        image = results['img']
        views = {name: steps(dict(img=image.copy(), img_shape=image.shape[:2], ori_shape=image.shape[:2]))['img']
                 for name, steps in self.views.items()}
        results['views'] = {**results.get('views', {}), **views}
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({", ".join(f"{name}={steps}" for name, steps in self.views.items())})'
