"""What the demo decides and writes: tasks and budgets in, .tflite files out. Frames never come here.

Kotlin calls `eas_demo.demo.Demo` through Chaquopy, from one background thread; texts and JSON go in and out. The same
module drives the stand-in of the screen on a computer (android_demo/standin).
"""
