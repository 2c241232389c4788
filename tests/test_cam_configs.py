"""What the config of the plain CAM trains, and what it leaves as it is."""

from mmengine.config import Config
from torch import nn

from mmwsss.registry import MODELS

from .helpers import REPO


def test_first_stages_and_batch_norm_stay_as_they_are():
    cfg = Config.fromfile(REPO / 'configs/cam/cam_resnet50_voc.py', format_python_code=False)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).train()
    trained = {name.split('.')[0] for name, param in model.backbone.named_parameters() if param.requires_grad}
    assert trained == {'layer3', 'layer4'}
    assert not any(part.training for part in model.backbone.modules() if isinstance(part, nn.BatchNorm2d))
    assert all(param.requires_grad for param in model.cam_head.parameters())
