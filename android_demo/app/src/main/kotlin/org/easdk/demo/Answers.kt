package org.easdk.demo

import org.json.JSONArray
import org.json.JSONObject

// What Python answers, read from its JSON. Quoted names are its members: tests/android/test_project.py compares them
// with real answers.

/** Smallest and largest value of a budget, in MAdds or milliseconds. */
data class Span(val low: Double, val high: Double) {
    /** The value at a fraction from 0 to 1. */
    fun at(fraction: Double): Double = low + fraction * (high - low)

    companion object {
        fun from(pair: JSONArray): Span = Span(pair.getDouble(0), pair.getDouble(1))
    }
}

/**
 * A superclass.
 *
 * @property ms null until a latency table has been measured.
 */
data class TaskFacts(val name: String, val madds: Span, val ms: Span?) {
    companion object {
        fun from(name: String, json: JSONObject): TaskFacts =
            TaskFacts(name, Span.from(json.getJSONArray("madds")), json.optJSONArray("ms")?.let { Span.from(it) })
    }
}

/**
 * The answer of `Demo.info`.
 *
 * @property table file of the latency table; null until it has been measured.
 */
data class Info(val tasks: List<TaskFacts>, val table: String?) {
    companion object {
        fun from(json: JSONObject): Info {
            val tasks = json.getJSONObject("tasks")
            val names = tasks.keys().asSequence().toList()
            return Info(names.map { TaskFacts.from(it, tasks.getJSONObject(it)) }, json.textOrNull("table"))
        }
    }
}

/** A block of an architecture: size of its kernel in pixels, and how much wider it is inside than outside. */
data class Block(val kernel: Int, val expansion: Double) {
    companion object {
        fun from(json: JSONObject): Block = Block(json.getInt("kernel"), json.getDouble("expansion"))
    }
}

/**
 * A network that lies in a file.
 *
 * @property inputSize rows and columns of the image that goes in; other networks may take others.
 * @property predictedMs null without a latency table.
 */
data class NetworkFacts(
    val file: String,
    val labels: List<String>,
    val inputSize: Int,
    val madds: Double,
    val memoryBytes: Double,
    val predictedMs: Double?,
    val architecture: String,
    val units: List<List<Block>>,
    val sliceMs: Double,
    val writeMs: Double,
) {
    companion object {
        fun from(json: JSONObject): NetworkFacts {
            val labels = json.getJSONArray("labels")
            return NetworkFacts(
                file = json.getString("file"),
                labels = List(labels.length()) { labels.getString(it) },
                inputSize = json.getInt("input_size"),
                madds = json.getDouble("madds"),
                memoryBytes = json.getDouble("memory_bytes"),
                predictedMs = json.numberOrNull("predicted_ms"),
                architecture = json.getString("architecture"),
                units = blocks(json.getJSONArray("units")),
                sliceMs = json.getDouble("slice_ms"),
                writeMs = json.getDouble("write_ms"),
            )
        }

        private fun blocks(units: JSONArray): List<List<Block>> =
            List(units.length()) { i ->
                val unit = units.getJSONArray(i)
                List(unit.length()) { j -> Block.from(unit.getJSONObject(j)) }
            }
    }
}

/** What the phone says of itself; null is what could not be read. `battery` and `load` are shares from 0 to 1. */
data class DeviceFacts(
    val battery: Double?,
    val charging: Boolean?,
    val powerSaving: Boolean?,
    val thermal: String?,
    val headroom: Double?,
    val load: Double?,
) {
    companion object {
        fun from(json: JSONObject): DeviceFacts = DeviceFacts(
            battery = json.numberOrNull("battery"),
            charging = json.flagOrNull("charging"),
            powerSaving = json.flagOrNull("power_saving"),
            thermal = json.textOrNull("thermal"),
            headroom = json.numberOrNull("headroom"),
            load = json.numberOrNull("load"),
        )
    }
}

/**
 * The answer of `Demo.update`.
 *
 * @property network what to run; null where not even a first one could be made.
 * @property budget the one in force, with its unit.
 * @property decideMs null where nothing was decided, because of an error.
 */
data class Update(
    val network: NetworkFacts?,
    val budget: String,
    val reason: String,
    val notice: String,
    val error: String,
    val device: DeviceFacts,
    val decideMs: Double?,
) {
    companion object {
        fun from(json: JSONObject): Update = Update(
            network = json.optJSONObject("network")?.let { NetworkFacts.from(it) },
            budget = json.getString("budget"),
            reason = json.getString("reason"),
            notice = json.getString("notice"),
            error = json.getString("error"),
            device = DeviceFacts.from(json.getJSONObject("state")),
            decideMs = json.numberOrNull("decide_ms"),
        )
    }
}

private fun JSONObject.textOrNull(name: String): String? = if (isNull(name)) null else getString(name)

private fun JSONObject.numberOrNull(name: String): Double? = if (isNull(name)) null else getDouble(name)

private fun JSONObject.flagOrNull(name: String): Boolean? = if (isNull(name)) null else getBoolean(name)
