"""autorf: search and learn the receptive field of segmentation networks."""

__version__ = "0.1.0"
