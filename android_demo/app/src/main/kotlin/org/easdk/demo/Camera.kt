package org.easdk.demo

import androidx.appcompat.app.AppCompatActivity
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.Preview
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.core.content.ContextCompat
import androidx.lifecycle.Lifecycle

/**
 * Camera frames to a preview and to an analyzer, while the activity is in sight: CameraX turns the camera off and on
 * with its lifecycle.
 *
 * @param failed told, on the main thread, why there are no frames.
 */
class Camera(
    private val activity: AppCompatActivity,
    private val view: PreviewView,
    private val analyzer: ImageAnalysis.Analyzer,
    private val failed: (String) -> Unit,
) {
    private var started = false

    /** Turns the camera on, the back one where there is one. The permission must have been granted. */
    fun start() {
        if (started) return
        started = true
        val coming = ProcessCameraProvider.getInstance(activity)
        coming.addListener({
            try {
                bind(coming.get())
            } catch (problem: Exception) { // of many kinds: no camera, one that is broken, or a maker's mistake
                started = false
                failed(problem.message ?: problem.toString())
            }
        }, ContextCompat.getMainExecutor(activity))
    }

    private fun bind(provider: ProcessCameraProvider) {
        if (!activity.lifecycle.currentState.isAtLeast(Lifecycle.State.CREATED)) return // gone while it opened
        val preview = Preview.Builder().build()
        preview.setSurfaceProvider(view.surfaceProvider)
        val analysis = ImageAnalysis.Builder()
            .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
            .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_RGBA_8888)
            .build()
        analysis.setAnalyzer(Threads.frames, analyzer)
        provider.unbindAll()
        provider.bindToLifecycle(activity, selector(provider), preview, analysis)
    }

    private fun selector(provider: ProcessCameraProvider): CameraSelector {
        val back = CameraSelector.DEFAULT_BACK_CAMERA
        return if (provider.hasCamera(back)) back else CameraSelector.DEFAULT_FRONT_CAMERA
    }
}
