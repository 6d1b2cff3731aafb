"""Reference sets, the reader that finds labels, and the labelling of new structures."""
