"""Access to files: images in folders, zips and tar shards, the index of annotations, decoding."""
