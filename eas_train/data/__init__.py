"""Training data: image sets, the emoji data set, folders of images, and fixed evaluation views."""
