# AffinityNet as in MCTformer's code, which AReAM takes over. README.md has the commands before and after.
_base_ = [
    '../_base_/models/affinity_wr38.py', '../_base_/datasets/voc_psa.py', '../_base_/schedules/psa_5e.py',
    '../_base_/epoch_runtime.py'
]
default_hooks = dict(checkpoint=dict(interval=1), visualization=dict(num_images=0))
