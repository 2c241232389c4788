# MCTformer+ on photographs: the network and schedule of MCTformer-V2, with what MCTformer+ adds.
_base_ = '../mctformer/mctformer-v2_dinov2-s_photos.py'
model = dict(
    data_preprocessor=dict(type='MultiViewPreProcessor'),
    cam_head=dict(attention_layers=12, fusion='root', patch_pool='gwrp'),
    auxiliary=dict(class_tokens=dict(type='ContrastiveClassTokens', weight=1.0, num_layers=12)))
