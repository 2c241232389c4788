# What DINOv2's own ViT-S changes in an AttentionViT of patches of 16 x 16 pixels, to which its 14 x 14 are resized.
dinov2_s_changes = dict(
    arch='dinov2-s',
    layer_scale_init_value=1.0,
    resize_patch_embed=True,
    init_cfg=dict(
        checkpoint='auto+https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth'))
