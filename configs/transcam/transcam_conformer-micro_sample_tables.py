# Tests all rows of Tables 2 and 3 at once; trains as the config that it inherits does.
_base_ = ['./transcam_conformer-micro_sample.py', '../_base_/evaluators/transcam_tables.py']
model = dict(test_cfg=dict(map_names=('cams', *_base_.table_maps)))
test_evaluator = _base_.table_evaluator
