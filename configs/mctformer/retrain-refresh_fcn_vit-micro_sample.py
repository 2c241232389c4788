# The same with labels that the segmentor itself renews while it trains: what it sees of the classes that an image is
# known to show. The labels of the start are replaced, so they get a folder of their own:
#   python tools/make_pseudo_labels.py configs/mctformer/mctformer-v2_vit-micro_sample.py CHECKPOINT \
#       --out-dir work_dirs/retrain-refresh_fcn_vit-micro_sample/pseudo_labels
_base_ = './retrain_fcn_vit-micro_sample.py'
labeled = dict(
    type='ImageLabelDataset',
    label_file='image_labels.json',
    dataset=_base_.train_dataloader.dataset.dataset)
train_dataloader = dict(
    dataset=dict(
        pseudo_label_dir='work_dirs/retrain-refresh_fcn_vit-micro_sample/pseudo_labels',
        dataset=dict(_delete_=True, **labeled)))
custom_hooks = [
    *_base_.custom_hooks,
    # Relative to the work directory; pixels between the two thresholds are ignored from then on.
    dict(
        type='PseudoLabelHook',
        out_dir='pseudo_labels',
        interval=300,
        by_epoch=False,
        after_train=False,
        threshold=0.3,
        high=0.7)
]
