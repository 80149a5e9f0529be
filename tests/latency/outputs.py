"""What builds of benchmark_model print, by kind: one network each, on one core of a phone."""

from __future__ import annotations

NEWER = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Min num runs: [50]
INFO: Num threads: [1]
INFO: Min warmup runs: [10]
INFO: Graph: [/data/local/tmp/eas_sdk/network.tflite]
INFO: Signature to run: []
INFO: #threads used for CPU inference: [1]
INFO: Use xnnpack: [1]
INFO: Loaded model /data/local/tmp/eas_sdk/network.tflite
INFO: Initialized TensorFlow Lite runtime.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: XNNPACK delegate created.
INFO: Going to apply 1 delegates one after another.
VERBOSE: Replacing 96 out of 96 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 partitions.
INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.
INFO: The input model file size (MB): 4.19
INFO: Initialized session in 12.75ms.
INFO: Running benchmark for at least 10 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=51 first=10840 curr=9791 min=9702 max=10840 avg=9823.5 std=148 p5=9710 median=9801 p95=9990

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=102 first=9790 curr=9810 min=9688 max=12100 avg=9820.31 std=240 p5=9701 median=9795 p95=9950

INFO: Inference timings in us: Init: 12750, First inference: 10840, Warmup (avg): 9823.5, Inference (avg): 9820.31
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual \
memory footprint of the model at runtime. Take the information at your discretion.
INFO: Memory footprint delta from the start of the tool (MB): init=4.21094 overall=11.5312
"""

OLDER = """\
STARTING!
Min num runs: [50]
Num threads: [1]
Min warmup runs: [10]
Graph: [/data/local/tmp/eas_sdk/network.tflite]
Use xnnpack: [1]
Loaded model /data/local/tmp/eas_sdk/network.tflite
INFO: Initialized TensorFlow Lite runtime.
Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.
The input model file size (MB): 4.19
Initialized session in 17.187ms.
Running benchmark for at least 10 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=10 first=1312391 curr=1299002 min=1280404 max=1312391 avg=1.29876e+06 std=9100

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=1299275 curr=1213402 min=1127568 max=1389954 avg=1.25034e+06 std=109798

Inference timings in us: Init: 17187, First inference: 1312391, Warmup (avg): 1.29876e+06, Inference (avg): 1.25034e+06
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory \
footprint of the model at runtime. Take the information at your discretion.
Peak memory footprint (MB): init=4.92969 overall=138.809
"""

LOGCAT = """\
05-30 15:16:44.857  3380  3380 I tflite  : Explicitly applied XNNPACK delegate, and the model graph will be partially \
executed by the delegate w/ 4 delegate kernels.
05-30 15:16:44.858  3380  3380 I tflite  : Initialized session in 126.059ms.
05-30 15:16:45.362  3380  3380 I tflite  : count=40 first=32942 curr=12594 min=11340 max=32942 avg=12581.9 std=3331
05-30 15:16:46.365  3380  3380 I tflite  : count=75 first=12840 curr=11853 min=11787 max=13649 avg=12167.6 std=325
05-30 15:16:46.366  3380  3380 I tflite  : Inference timings in us: Init: 126059, First inference: 32942, \
Warmup (avg): 12581.9, Inference (avg): 12167.6
"""

ALL_SAME = """\
INFO: Though XNNPACK delegate is explicitly applied, the model graph will not be executed by the delegate.
INFO: Initialized session in 0.512ms.
INFO: count=1 curr=12
INFO: count=3 curr=7(all same)
INFO: Inference timings in us: Init: 512, First inference: 12, Warmup (avg): 12, Inference (avg): 7
"""

PROFILED = """\
INFO: count=5 first=130 curr=120 min=119 max=130 avg=122 std=4
INFO: count=50 first=119 curr=118 min=113 max=124 avg=119.375 std=2
INFO: Inference timings in us: Init: 870, First inference: 130, Warmup (avg): 122, Inference (avg): 119.375
INFO: Profiling Info for Benchmark Initialization:
Timings (microseconds): count=1 curr=1356
Memory (bytes): count=0
"""

NO_MODEL = """\
INFO: STARTING!
INFO: Graph: [/data/local/tmp/eas_sdk/network.tflite]
ERROR: Could not open '/data/local/tmp/eas_sdk/network.tflite'.
ERROR: Failed to mmap model /data/local/tmp/eas_sdk/network.tflite
ERROR: Benchmarking failed.
"""
