package org.easdk.demo

import java.util.concurrent.Callable
import java.util.concurrent.ExecutionException
import java.util.concurrent.ExecutorService

/**
 * Times files on the thread that frames run on. Python calls it: `BlockRunner` in `eas_demo/blocks.py`.
 *
 * @param frames the executor of that thread.
 */
class BlockTimer(private val frames: ExecutorService) {
    private val other = ByteArray(OTHER_BYTES)

    /**
     * Times of so many inferences after warm-up, in milliseconds. Waits until they are done.
     *
     * @param displaced whether other data goes through the caches before each, as in a larger network.
     * @param pauseMs before each, in milliseconds: a phone that rests between frames has lowered its clocks.
     */
    fun run(path: String, runs: Int, displaced: Boolean, pauseMs: Double): DoubleArray {
        try {
            return frames.submit(Callable { time(path, runs, displaced, pauseMs) }).get()
        } catch (problem: ExecutionException) {
            throw problem.cause ?: problem
        }
    }

    private fun time(path: String, runs: Int, displaced: Boolean, pauseMs: Double): DoubleArray =
        Network.load(path).use { network ->
            repeat(WARM_UP_RUNS) { network.run() }
            DoubleArray(runs) { round ->
                Thread.sleep(pauseMs.toLong())
                if (displaced) other.fill(round.toByte())
                network.run()
                network.latencyMs
            }
        }

    private companion object {
        const val WARM_UP_RUNS = 5
        const val OTHER_BYTES = 4 * 1024 * 1024 // more than the caches that one core of a phone has for itself
    }
}

/** How far a measurement is: blocks and networks done, of how many, and which is next. */
data class Progress(val done: Int, val total: Int, val what: String)

/** Hears of progress. Python calls it: `Listener` in `eas_demo/blocks.py`. */
class BenchmarkListener(private val goesOn: (Progress) -> Boolean) {
    /** Shows progress; false stops the measurement. */
    fun show(done: Int, total: Int, what: String): Boolean = goesOn(Progress(done, total, what))
}
