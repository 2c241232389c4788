# AReAM (arXiv 2305.03112): the published code uses the lists of MCTformer for PSA's AffinityNet.
_base_ = './mctformer.py'
