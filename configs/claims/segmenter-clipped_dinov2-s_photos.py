# The second stage on photographs with WeakTr's gradient clipping in place of plain cross-entropy.
_base_ = '../weaktr/segmenter_dinov2-s_photos.py'
model = dict(
    decode_head=dict(
        # Tiles of a quarter of the crop, as 120 is of 480.
        loss_decode=dict(_delete_=True, type='GradientClippedCrossEntropyLoss', patch_size=56, start_value=1.2)))
