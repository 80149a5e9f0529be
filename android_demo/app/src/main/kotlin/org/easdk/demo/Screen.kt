package org.easdk.demo

/**
 * All that the screen shows but the labels of the last frame. Replaced as a whole, never changed.
 *
 * @property info null until Python has started.
 * @property frames null before the first frame of a network.
 * @property lastSwitch null before the first switch; `switches` counts them.
 * @property benchmark how far the measurement is; null while none runs.
 * @property benchmarkNote how the last measurement ended.
 * @property error what went wrong at the last look; empty where nothing did.
 */
data class Screen(
    val info: Info? = null,
    val choice: Choice = Choice(),
    val update: Update? = null,
    val frames: FrameFacts? = null,
    val lastSwitch: Switch? = null,
    val switches: Int = 0,
    val benchmark: Progress? = null,
    val benchmarkNote: String = "",
    val error: String = "",
)
