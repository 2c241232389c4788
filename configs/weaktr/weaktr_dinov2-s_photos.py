# The first stage of WeakTr, ViT-S/14 of DINOv2's architecture, your own photographs (docs/photographs.md).
_base_ = [
    '../_base_/models/weaktr_deit-s.py', '../_base_/models/dinov2-s.py', '../_base_/datasets/photos_168.py',
    '../_base_/schedules/photos_tokens.py', '../_base_/epoch_runtime.py'
]
threshold = 0.2  # what suggest_threshold.py chooses without masks
model = dict(
    data_preprocessor=dict(size=(_base_.photos_crop_size, _base_.photos_crop_size)),
    backbone=dict(
        _base_.dinov2_s_backbone,
        _delete_=True,
        num_class_tokens=20,
        # Copies of one token need thousands of iterations to diverge. Noise makes them different from the start.
        class_token_std=0.1,
        # Unlike DeiT's, the tokens of this start have to be normalized: docs/photographs.md.
        raw_output=False),
    test_cfg=dict(threshold=threshold, cams=dict(scales=(1.0, ))))
val_evaluator = [dict(type='CAMMetric', threshold=threshold, prefix='cam'), dict(type='ImageMAP', prefix='cls')]
test_evaluator = val_evaluator
default_hooks = dict(logger=dict(interval=10))
