# VOC as AffinityNet trains on it: class scores with two backgrounds, in a folder of pseudo labels.
_base_ = ['./voc.py', '../pipelines/psa_448.py']
pseudo_label_dir = 'work_dirs/pseudo_labels_voc'  # with crf_1 and crf_12 in it
train_dataloader = dict(
    batch_size=8,
    drop_last=True,
    sampler=dict(type='EpochSampler'),
    dataset=dict(
        _delete_=True,
        type='PseudoLabelDataset',
        pseudo_label_dir=pseudo_label_dir,
        seed=0,
        pipeline=_base_.psa_scores_pipeline,
        # The random walk needs the image labels; training does not.
        dataset=_base_.train_dataloader.dataset))
# The affinities of pairs are compared with ground-truth masks, only for information.
val_evaluator = [dict(type='PairAffinityMetric')]
test_evaluator = val_evaluator
