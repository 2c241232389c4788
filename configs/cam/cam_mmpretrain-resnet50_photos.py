# Plain CAM of a ResNet-50 classifier that was trained with mmpretrain. Nothing is trained here: the path of its
# checkpoint with mmpretrain+ before it takes the place of CHECKPOINT in all tools. README.md has the commands.
_base_ = './cam_resnet50_photos.py'
# The stride of the classifier. strides=(1, 2, 2, 1) gives maps of twice the resolution, but other scores.
model = dict(backbone=dict(strides=(1, 2, 2, 2), init_cfg=None), cam_head=dict(bias=True))
