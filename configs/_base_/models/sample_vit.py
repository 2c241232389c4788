# The small ViT of the sample configs, with patches of 8 x 8 pixels. projects/sample_backbones trained its weights.
sample_vit_arch = dict(embed_dims=128, num_layers=6, num_heads=4, feedforward_channels=512)
sample_vit_checkpoint = 'mmwsss://vit-micro-p8_sample'
# How pseudo labels are made on the sample set: the reach of the refinement shrinks with the images.
sample_par = dict(dilations=(1, 2, 4, 6))
sample_label_cfg = dict(
    steps=[
        dict(type='Downscale', factor=2),
        dict(type='ConstantBackground'),
        dict(type='Softmax'),
        dict(type='PixelAdaptiveRefinement', **sample_par)
    ])
