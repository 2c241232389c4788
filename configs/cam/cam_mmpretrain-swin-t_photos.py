# Plain CAM of a Swin-T classifier that was trained with mmpretrain: see cam_mmpretrain-resnet50_photos.py.
_base_ = './cam_mmpretrain-resnet50_photos.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SwinTransformer',
        arch='tiny',
        pad_small_map=True),  # maps smaller than a window, in views of half size
    cam_head=dict(in_channels=768))
