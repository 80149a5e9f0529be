"""What came of a training, for people: figures on the test images, pictures, one page."""
