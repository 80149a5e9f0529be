package org.easdk.demo

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.util.AttributeSet
import android.view.View
import androidx.core.content.ContextCompat

/**
 * An architecture as bars: one for each block, as tall as its expansion ratio, darker for larger kernels, with units
 * set apart.
 */
class ArchitectureView(context: Context, attributes: AttributeSet) : View(context, attributes) {
    private val paint = Paint(Paint.ANTI_ALIAS_FLAG)
    private val small = ContextCompat.getColor(context, R.color.kernel_3)
    private val medium = ContextCompat.getColor(context, R.color.kernel_5)
    private val large = ContextCompat.getColor(context, R.color.kernel_7)
    private var units: List<List<Block>> = emptyList()

    /** Draws other units. */
    fun show(next: List<List<Block>>) {
        if (next == units) return
        units = next
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        super.onDraw(canvas)
        val blocks = units.sumOf { it.size }
        if (blocks == 0) return
        val slots = blocks + (units.size - 1) * UNIT_GAP
        val step = width / slots
        val tallest = maxOf(TALLEST, units.flatten().maxOf { it.expansion })
        var left = 0.0
        for (unit in units) {
            for (block in unit) {
                val top = height * (1 - block.expansion / tallest)
                paint.color = colour(block.kernel)
                val right = left + step * BAR
                canvas.drawRect(left.toFloat(), top.toFloat(), right.toFloat(), height.toFloat(), paint)
                left += step
            }
            left += step * UNIT_GAP
        }
    }

    private fun colour(kernel: Int): Int = when {
        kernel <= 3 -> small
        kernel <= 5 -> medium
        else -> large
    }

    private companion object {
        const val UNIT_GAP = 0.5 // in widths of a block
        const val BAR = 0.85 // of the width that a block has
        const val TALLEST = 6.0 // expansion ratio that fills the view, unless there are larger ones
    }
}
