package org.easdk.demo

import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors
import java.util.concurrent.ScheduledExecutorService

/** The two background threads of the app. They live as long as its process, whatever becomes of the screen. */
object Threads {
    /** All of Python: deciding, slicing, writing files. One thread, so that no two calls meet. */
    val python: ScheduledExecutorService = Executors.newSingleThreadScheduledExecutor { task -> Thread(task, "python") }

    /** All that runs a network: frames of the camera, and blocks while they are measured. */
    val frames: ExecutorService = Executors.newSingleThreadExecutor { task -> Thread(task, "frames") }
}
