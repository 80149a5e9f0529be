package org.easdk.demo

/** What a switch took before frames were reached, in milliseconds, from a time of `System.nanoTime` on. */
data class SwitchParts(
    val askedAtNanos: Long,
    val decideMs: Double,
    val sliceMs: Double,
    val writeMs: Double,
    val loadMs: Double,
)

/** A switch: from the wish to the first prediction of the new network. The rest of it was waiting for a frame. */
data class Switch(val totalMs: Double, val parts: SwitchParts)

/** What Python answered, and why its network is not run, if so. */
data class Look(val update: Update, val problem: Exception?)

/**
 * Asks Python what to run and sees that frames run through it. On the Python thread alone.
 *
 * A file that cannot be run is written once more; after that it is left alone, and the network before it stays.
 */
class Switcher(private val demo: PythonDemo, private val frames: FrameAnalyzer) {
    private var handed: String? = null
    private val failures = HashMap<String, Exception>()
    private val rewritten = HashSet<String>()

    /** Grants a wish: once a second, and whenever the user moves something. */
    fun look(wish: Wish): Look {
        while (true) { // ends: each round makes one more file known as rewritten, or as failed
            val (file, measuredMs) = frames.takeTimes()
            val update = demo.update(wish, file, measuredMs)
            val facts = update.network ?: return Look(update, null)
            val failure = failures[facts.file]
            if (failure != null || facts.file == handed) return Look(update, failure)
            try {
                load(facts, wish, update)
                return Look(update, null)
            } catch (problem: Exception) {
                failed(facts.file, problem)
            }
        }
    }

    /** A file cannot be loaded, or was loaded and cannot be run. */
    fun failed(file: String, problem: Exception) {
        if (handed == file) handed = null
        if (rewritten.add(file)) demo.discard(file) else failures[file] = problem
    }

    private fun load(facts: NetworkFacts, wish: Wish, update: Update) {
        val began = System.nanoTime()
        val network = Network.load(facts.file)
        val parts = SwitchParts(
            askedAtNanos = wish.askedAtNanos,
            decideMs = update.decideMs ?: 0.0,
            sliceMs = facts.sliceMs,
            writeMs = facts.writeMs,
            loadMs = msSince(began),
        )
        frames.exchange(ActiveNetwork(facts, network), parts)
        handed = facts.file
    }
}
