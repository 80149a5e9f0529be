package org.easdk.demo

import kotlin.math.ceil

/** What the screen says of frames: median and 95th percentile of an inference, and frames each second. */
data class FrameFacts(val p50Ms: Double, val p95Ms: Double, val perSecond: Double)

/** Times of the frames of one network. Written where frames run, read where Python runs. */
class FrameTimes {
    private val latenciesMs = ArrayDeque<Double>()
    private val unseenMs = ArrayDeque<Double>()
    private val endsMs = ArrayDeque<Double>()

    /** A frame that took so long, and ended at a time of any clock that only grows. */
    @Synchronized
    fun add(latencyMs: Double, endMs: Double) {
        latenciesMs.pushBounded(latencyMs)
        unseenMs.pushBounded(latencyMs)
        endsMs.pushBounded(endMs)
    }

    /** The times since the last call, for Python to compare with what it predicted. */
    @Synchronized
    fun take(): DoubleArray {
        val taken = unseenMs.toDoubleArray()
        unseenMs.clear()
        return taken
    }

    /** What the screen shows; null before the first frame. */
    @Synchronized
    fun facts(nowMs: Double): FrameFacts? {
        if (latenciesMs.isEmpty()) return null
        val sorted = latenciesMs.sorted()
        val recent = endsMs.count { nowMs - it <= RATE_WINDOW_MS }
        return FrameFacts(quantile(sorted, 0.5), quantile(sorted, 0.95), recent / (RATE_WINDOW_MS / 1000))
    }

    /** Whether frames come in, rather than that the camera is off. */
    @Synchronized
    fun flowing(nowMs: Double): Boolean = endsMs.isNotEmpty() && nowMs - endsMs.last() <= FLOW_MS

    companion object {
        private const val KEPT = 120
        private const val RATE_WINDOW_MS = 2000.0
        private const val FLOW_MS = 500.0

        /** The smallest value that at least such a share of all does not exceed. */
        fun quantile(sorted: List<Double>, share: Double): Double =
            sorted[(ceil(share * sorted.size).toInt() - 1).coerceIn(0, sorted.size - 1)]

        private fun ArrayDeque<Double>.pushBounded(value: Double) {
            addLast(value)
            if (size > KEPT) removeFirst()
        }
    }
}
