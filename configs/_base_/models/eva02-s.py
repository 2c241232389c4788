# EVA-02's ViT-S for Segmenter, whose patches of 14 x 14 pixels become 16 x 16, and the pixel values that it was trained
# with.
eva02_s_pixels = dict(mean=[122.77, 116.75, 104.09], std=[68.5, 66.63, 70.32])
eva02_s_backbone = dict(
    type='EVA02ViT',
    arch='small',
    img_size=480,
    patch_size=16,
    norm_cfg=dict(type='LN', eps=1e-5),
    interpolate_mode='bilinear',
    drop_path_rate=0.1,
    resize_patch_embed=True,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='auto+https://huggingface.co/Yuxin-CV/EVA-02/resolve/main/eva02/pt/eva02_S_pt_in21k_p14.pt'))
