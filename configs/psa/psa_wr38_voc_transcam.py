# AffinityNet as in TransCAM's code: hard labels at two background scores, 8 epochs, a sharper and longer walk, then the
# dense CRF: --post random-walk-crf.
_base_ = './psa_wr38_voc.py'
model = dict(
    backbone=dict(init_cfg=dict(checkpoint='resnet38+pretrained/ilsvrc-cls_rna-a1_cls1000_ep-0001.params')),
    # Small images have pairs of nearer cells only.
    test_cfg=dict(beta=14, log2_steps=7, threshold=0.42, pseudo_label_crf='transcam_label', shrink_radius=True))
train_dataloader = dict(dataset=dict(pipeline=_base_.psa_labels_pipeline))
max_epochs = 8
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
