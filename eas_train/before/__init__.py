"""What is looked at before a training on photos of one's own begins."""
