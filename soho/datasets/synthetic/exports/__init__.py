"""The synthetic data set in the formats of further downloads, one file a format; ``formats.py`` lists them."""
