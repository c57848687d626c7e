"""Where bytes come from: folders, zips and tar shards of images, the index of annotations, decoding."""
