package org.easdk.demo

import java.nio.Buffer
import java.nio.ByteBuffer

/**
 * Makes a network's input of camera frames: the square in the middle, upright, each value the mean of the pixels that
 * fall on it. Means and not samples, as a frame has many times the pixels of the input, and samples flicker.
 *
 * Keeps its buffers from frame to frame: one thread at a time, and an image holds until the next.
 *
 * @param size rows and columns of the input.
 */
class SquareReader(private val size: Int) {
    private val sums = IntArray(size * size * CHANNELS)
    private val image = FloatArray(size * size * CHANNELS)
    private var row = ByteArray(0)

    /**
     * Values from 0 to 1: rows of pixels, red, green, blue each.
     *
     * @param pixels of a frame, four bytes each: red, green, blue, alpha.
     * @param rowBytes from one row to the next.
     * @param turn degrees clockwise, a multiple of 90, until the frame is upright.
     * @throws IllegalArgumentException the frame has fewer rows or columns than the input.
     */
    fun read(pixels: ByteBuffer, width: Int, height: Int, rowBytes: Int, turn: Int): FloatArray {
        val side = minOf(width, height)
        require(side >= size) { "a frame of $width x $height pixels is smaller than the input, $size x $size" }
        sums.fill(0)
        addUp(pixels, (width - side) / 2, (height - side) / 2, side, rowBytes)
        for (y in 0 until size) {
            for (x in 0 until size) {
                put(x, y, side, turn)
            }
        }
        return image
    }

    private fun addUp(pixels: ByteBuffer, left: Int, top: Int, side: Int, rowBytes: Int) {
        if (row.size != side * PIXEL_BYTES) row = ByteArray(side * PIXEL_BYTES)
        val buffer: Buffer = pixels // whose `position` every Android has; that of ByteBuffer came later
        for (y in 0 until side) {
            buffer.position((top + y) * rowBytes + left * PIXEL_BYTES)
            pixels.get(row) // whole rows: byte by byte takes ten times as long
            val cells = y * size / side * size
            for (x in 0 until side) {
                val sum = (cells + x * size / side) * CHANNELS
                val pixel = x * PIXEL_BYTES
                sums[sum] += row[pixel].toInt() and 0xff
                sums[sum + 1] += row[pixel + 1].toInt() and 0xff
                sums[sum + 2] += row[pixel + 2].toInt() and 0xff
            }
        }
    }

    /** Writes the cell at a column and row of the frame to where it is once the frame is upright. */
    private fun put(x: Int, y: Int, side: Int, turn: Int) {
        val last = size - 1
        val upright = when (turn) {
            90 -> x * size + (last - y)
            180 -> (last - y) * size + (last - x)
            270 -> (last - x) * size + y
            else -> y * size + x
        }
        val from = (y * size + x) * CHANNELS
        val scale = 1f / (MAX_VALUE * covered(x, side) * covered(y, side))
        for (channel in 0 until CHANNELS) {
            image[upright * CHANNELS + channel] = sums[from + channel] * scale
        }
    }

    /** Columns, or rows, of the square that fall on a cell: those `i` with `i * size / side == cell`. */
    private fun covered(cell: Int, side: Int): Int =
        ((cell + 1) * side + size - 1) / size - (cell * side + size - 1) / size

    private companion object {
        const val CHANNELS = 3
        const val PIXEL_BYTES = 4
        const val MAX_VALUE = 255f
    }
}
