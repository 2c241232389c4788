# The generated sample set, for recipes: what is in `data` comes before the stages.
data_root = 'data/sample'
data = [
    dict(
        name='data',
        kind='script',
        title='sample data',
        script='dataset_converters/make_sample.py',
        args=['{data_root}'],
        outputs=['{data_root}/image_labels.json', '{data_root}/ImageSets'],
        short=dict(args=['{data_root}', '--num-train', 16, '--num-val', 16]))
]
