# AReAM (arXiv 2305.03112): its published code takes over MCTformer's lists for PSA's AffinityNet.
_base_ = './mctformer.py'
