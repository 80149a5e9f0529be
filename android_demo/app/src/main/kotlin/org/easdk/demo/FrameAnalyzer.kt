package org.easdk.demo

import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import java.util.concurrent.Executor

/** A network in memory, what makes frames its size, and the times of its frames. */
class ActiveNetwork(val facts: NetworkFacts, val network: Network) {
    val times = FrameTimes()
    val reader = SquareReader(facts.inputSize)
}

/** A label and its probability, 0 to 1. */
data class Guess(val label: String, val probability: Float)

/** Told of what becomes of frames, on their thread. */
interface FrameListener {
    fun predicted(best: List<Guess>)

    /** The first prediction of a network that took over. */
    fun switched(switch: Switch)

    /** The network of a file cannot be run, and is closed. */
    fun failed(file: String, problem: Exception)
}

/**
 * Runs frames of the camera through the active network.
 *
 * Everything that touches a network happens on one thread: a network is replaced between two frames, never during one.
 *
 * @param thread where `analyze` is called too.
 */
class FrameAnalyzer(private val thread: Executor, private val listener: FrameListener) : ImageAnalysis.Analyzer {
    /** Whether frames are let go unseen. */
    @Volatile
    var paused = false

    @Volatile
    private var active: ActiveNetwork? = null
    private var pending: SwitchParts? = null
    private var closed = false

    /** The file in use, and the times of its frames since the last call. */
    fun takeTimes(): Pair<String, DoubleArray> {
        val now = active ?: return Pair("", DoubleArray(0))
        return Pair(now.facts.file, now.times.take())
    }

    /** What the screen says of frames; null before the first. */
    fun facts(): FrameFacts? = active?.times?.facts(nowMs())

    /**
     * Puts a network in place of the active one, which is closed. Until then frames run through the old one.
     *
     * @param parts what the switch took up to here.
     */
    fun exchange(next: ActiveNetwork, parts: SwitchParts) {
        thread.execute {
            val old = active
            if (closed) {
                next.network.close()
            } else {
                active = next
                // The first network is no switch, and without frames there is no first prediction to wait for.
                pending = if (old != null && old.times.flowing(nowMs())) parts else null
                old?.network?.close()
            }
        }
    }

    /** Closes the active network, and every one that comes after. */
    fun close() {
        thread.execute {
            closed = true
            drop()
        }
    }

    override fun analyze(image: ImageProxy) {
        image.use { frame ->
            val now = active
            if (now != null && !paused) {
                try {
                    classify(frame, now)
                } catch (problem: Exception) {
                    drop()
                    listener.failed(now.facts.file, problem)
                }
            }
        }
    }

    private fun classify(frame: ImageProxy, now: ActiveNetwork) {
        val plane = frame.planes[0]
        val turn = frame.imageInfo.rotationDegrees
        val image = now.reader.read(plane.buffer, frame.width, frame.height, plane.rowStride, turn)
        val probabilities = now.network.predict(image)
        now.times.add(now.network.latencyMs, nowMs())
        listener.predicted(best(now.facts.labels, probabilities))
        pending?.let { listener.switched(Switch(msSince(it.askedAtNanos), it)) }
        pending = null
    }

    private fun drop() {
        active?.network?.close()
        active = null
        pending = null
    }

    private fun best(labels: List<String>, probabilities: FloatArray): List<Guess> =
        labels.zip(probabilities.asIterable()) { label, probability -> Guess(label, probability) }
            .sortedByDescending { it.probability }
            .take(SHOWN)

    private fun nowMs(): Double = System.nanoTime() / NANOS_PER_MS

    private companion object {
        const val SHOWN = 3
    }
}
