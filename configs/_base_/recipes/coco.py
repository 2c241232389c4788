# COCO 2014, for recipes; docs/data.md says how to get it.
data_root = 'data/coco2014'
