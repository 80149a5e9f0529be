package org.easdk.demo

/** What the slider counts in. `code` is its name in `eas_demo/choice.py`. */
enum class BudgetUnit(val code: String) {
    MADDS("madds"),
    MS("ms"),
    AUTO("auto"),
}

/**
 * Where the controls stand.
 *
 * @property task name of a superclass; empty until Python has told which there are.
 * @property fraction where the slider stands, 0 to 1 of the task's range in the unit.
 */
data class Choice(
    val task: String = "",
    val unit: BudgetUnit = BudgetUnit.MADDS,
    val fraction: Double = 0.5,
) {
    /** The range that the slider goes through; null where it means nothing. */
    fun span(info: Info?): Span? {
        val facts = info?.tasks?.find { it.name == task }
        return when (unit) {
            BudgetUnit.MADDS -> facts?.madds
            BudgetUnit.MS -> facts?.ms
            BudgetUnit.AUTO -> null
        }
    }

    /** The wish that Python is asked to grant, made at a time of `System.nanoTime`. */
    fun wish(info: Info?, askedAtNanos: Long): Wish =
        Wish(task, unit, span(info)?.at(fraction) ?: 0.0, askedAtNanos)

    /** The choice that is possible: a known task, and milliseconds only where a latency table predicts them. */
    fun possible(info: Info): Choice {
        val known = info.tasks.any { it.name == task }
        val chosen = if (known) this else copy(task = info.tasks.first().name)
        val timed = unit != BudgetUnit.MS || chosen.span(info) != null
        return if (timed) chosen else chosen.copy(unit = BudgetUnit.MADDS)
    }
}

/**
 * A choice in Python's terms.
 *
 * @property value the budget in MAdds or milliseconds; 0 with AUTO.
 * @property askedAtNanos when the user moved something, or when the clock ticked: time of `System.nanoTime`.
 */
data class Wish(val task: String, val unit: BudgetUnit, val value: Double, val askedAtNanos: Long)
