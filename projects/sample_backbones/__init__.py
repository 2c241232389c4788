"""Pretraining of the small backbones of the sample configs."""
