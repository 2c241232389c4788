# AReAM on photographs: MCTformer-V2's network and schedule; in the second epoch, affinities are re-activated.
_base_ = ['../mctformer/mctformer-v2_dinov2-s_photos.py', '../_base_/models/reactivation.py']
model = dict(
    cam_head=dict(_delete_=True, type='AReAMHead', num_classes=20, in_channels=384, num_layers=12, attention_layers=3),
    auxiliary=dict(reactivation=dict(_base_.reactivation, map_name='raw_cams', begin=1)))
