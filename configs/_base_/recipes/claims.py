# Photographs in VOC layout, with classes.txt and masks, for the recipes of configs/claims: image labels of the training
# photographs, made from the masks, and a random list of training photographs whose maps are evaluated.
data_root = 'data/photos'
classes = '{data_root}/classes.txt'
label_file = '{out}/image_labels.json'
data = [
    dict(
        name='labels',
        kind='script',
        script='dataset_converters/image_labels.py',
        args=[
            'masks', '{data_root}/SegmentationClass', '--classes', '{data_root}/classes.txt', '--split',
            '{data_root}/ImageSets/Segmentation/train.txt', '--out', '{out}/image_labels.json'
        ],
        outputs=['{out}/image_labels.json']),
    dict(
        name='photos',
        kind='script',
        script='dataset_converters/draw_list.py',
        args=['{data_root}/ImageSets/Segmentation/train.txt', '--num', 90, '--seed', 0, '--out', '{out}/photos.txt'],
        outputs=['{out}/photos.txt'])
]
