# The rows of TransCAM's Tables 2 and 3, from one pass over the data.
table_maps = ('conv_cams', 'clsattn_all', 'attnagg_all', 'transcam_all', 'transcam_shallow', 'transcam_deep')
table_evaluator = [dict(type='CAMMetric', threshold=0.42, prefix='cam', field=name, name=name) for name in table_maps]
