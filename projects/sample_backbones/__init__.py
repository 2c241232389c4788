"""How the small backbones of the sample configs are pretrained."""
