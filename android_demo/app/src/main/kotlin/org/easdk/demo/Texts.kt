package org.easdk.demo

import android.content.Context
import java.util.Locale

/** Numbers and facts in words, with their units. */
class Texts(private val context: Context) {
    /** The value of the slider in its unit. */
    fun budget(choice: Choice, info: Info?): String {
        val value = choice.span(info)?.at(choice.fraction)
        return when {
            choice.unit == BudgetUnit.AUTO -> context.getString(R.string.budget_auto)
            value == null -> ""
            choice.unit == BudgetUnit.MS -> ms(value)
            else -> madds(value)
        }
    }

    /** The network in use: what it costs, the side of its images, and its blocks. */
    fun network(facts: NetworkFacts): String {
        val megabytes = "%.1f".format(Locale.ROOT, facts.memoryBytes / BYTES_PER_MB)
        return context.getString(R.string.network, madds(facts.madds), megabytes, facts.inputSize, facts.architecture)
    }

    /** Predicted and measured times of an inference. */
    fun latency(predictedMs: Double?, frames: FrameFacts?): String {
        val predicted = predictedMs?.let { ms(it) } ?: context.getString(R.string.unknown)
        if (frames == null) return context.getString(R.string.latency_predicted, predicted)
        val perSecond = "%.1f".format(Locale.ROOT, frames.perSecond)
        return context.getString(R.string.latency, predicted, ms(frames.p50Ms), ms(frames.p95Ms), perSecond)
    }

    /** What the phone says of itself, where it says something. */
    fun device(facts: DeviceFacts): String {
        val parts = listOfNotNull(
            facts.battery?.let { context.getString(R.string.device_battery, percent(it)) },
            facts.charging?.let { if (it) context.getString(R.string.device_charging) else null },
            facts.powerSaving?.let { if (it) context.getString(R.string.device_power_saving) else null },
            facts.thermal?.let { context.getString(R.string.device_thermal, it) },
            facts.headroom?.let { context.getString(R.string.device_headroom, "%.2f".format(Locale.ROOT, it)) },
            facts.load?.let { context.getString(R.string.device_load, percent(it)) },
        )
        return if (parts.isEmpty()) context.getString(R.string.device_unknown) else parts.joinToString(", ")
    }

    /** What the last switch took, and how many there were. */
    fun switches(last: Switch?, count: Int): String {
        if (last == null) return context.getString(R.string.switches_none)
        val parts = last.parts
        val steps = listOf(parts.decideMs, parts.sliceMs, parts.writeMs, parts.loadMs).map { ms(it) }
        return context.getString(R.string.switches, count, ms(last.totalMs), steps[0], steps[1], steps[2], steps[3])
    }

    /** Labels and probabilities, likeliest first, a line each. */
    fun best(guesses: List<Guess>): String =
        guesses.joinToString("\n") { context.getString(R.string.guess, it.label, percent(it.probability.toDouble())) }

    private fun madds(value: Double): String =
        context.getString(R.string.value_madds, "%.2f".format(Locale.ROOT, value / MILLION))

    private fun ms(value: Double): String = context.getString(R.string.value_ms, "%.2f".format(Locale.ROOT, value))

    private fun percent(share: Double): String = "%.0f%%".format(Locale.ROOT, share * 100)

    private companion object {
        const val MILLION = 1e6
        const val BYTES_PER_MB = 1e6
    }
}
