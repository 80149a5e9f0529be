package org.easdk.demo

import android.Manifest
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Bundle
import android.provider.Settings
import android.view.View
import androidx.activity.enableEdgeToEdge
import androidx.activity.result.contract.ActivityResultContracts
import androidx.activity.viewModels
import androidx.appcompat.app.AppCompatActivity
import androidx.core.content.ContextCompat
import androidx.core.view.ViewCompat
import androidx.core.view.WindowInsetsCompat
import java.io.File
import java.io.IOException
import org.easdk.demo.databinding.ActivityMainBinding

/** The one screen: the preview and its labels, the panel, and the way to the camera's permission. */
class MainActivity : AppCompatActivity() {
    private val model: DemoViewModel by viewModels()
    private val permission = registerForActivityResult(ActivityResultContracts.RequestPermission()) { showCamera() }
    private lateinit var views: ActivityMainBinding
    private lateinit var camera: Camera

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        enableEdgeToEdge()
        views = ActivityMainBinding.inflate(layoutInflater)
        setContentView(views.root)
        keepOffTheBars(views.root)
        camera = Camera(this, views.picture.preview, model.analyzer) { explain(getString(R.string.camera_failed, it)) }
        val texts = Texts(this)
        val panel = Panel(views.panel, model, texts)
        model.screens.observe(this) { panel.show(it) }
        model.best.observe(this) { guesses ->
            views.picture.labels.text = texts.best(guesses)
            views.picture.labels.visibility = if (guesses.isEmpty()) View.GONE else View.VISIBLE
        }
        views.panel.share.setOnClickListener { share() }
        if (savedInstanceState == null && hasCamera() && !granted()) permission.launch(Manifest.permission.CAMERA)
    }

    override fun onStart() {
        super.onStart()
        model.start()
        showCamera() // the permission may have been granted or taken away in the settings meanwhile
    }

    override fun onStop() {
        super.onStop()
        model.stop(leaving = !isChangingConfigurations)
    }

    private fun hasCamera(): Boolean = packageManager.hasSystemFeature(PackageManager.FEATURE_CAMERA_ANY)

    private fun granted(): Boolean =
        ContextCompat.checkSelfPermission(this, Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED

    /** The camera's picture, or why there is none and what can be done about it. */
    private fun showCamera() {
        when {
            !hasCamera() -> explain(getString(R.string.camera_none))
            granted() -> {
                explain("")
                camera.start()
            }
            shouldShowRequestPermissionRationale(Manifest.permission.CAMERA) -> {
                explain(getString(R.string.camera_denied), getString(R.string.camera_ask)) {
                    permission.launch(Manifest.permission.CAMERA)
                }
            }
            else -> explain(getString(R.string.camera_denied), getString(R.string.camera_settings)) { openSettings() }
        }
    }

    private fun explain(text: String, button: String = "", onClick: () -> Unit = {}) {
        views.picture.cameraNote.text = text
        views.picture.cameraNote.visibility = if (text.isEmpty()) View.GONE else View.VISIBLE
        views.picture.cameraButton.text = button
        views.picture.cameraButton.visibility = if (button.isEmpty()) View.GONE else View.VISIBLE
        views.picture.cameraButton.setOnClickListener { onClick() }
    }

    /** Android asks no more once the user has said no for good; the settings still do. */
    private fun openSettings() {
        val page = Uri.fromParts("package", packageName, null)
        startActivity(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, page))
    }

    private fun share() {
        val table = model.screens.value?.info?.table ?: return
        try {
            startActivity(TableSharing.intent(this, File(table)))
        } catch (problem: IOException) {
            views.panel.benchmarkNote.text = getString(R.string.share_failed, problem.message)
        }
    }

    /** Since Android 15 an app draws under the system's bars: its contents move out from there. */
    private fun keepOffTheBars(root: View) {
        ViewCompat.setOnApplyWindowInsetsListener(root) { view, insets ->
            val kinds = WindowInsetsCompat.Type.systemBars() or WindowInsetsCompat.Type.displayCutout()
            val bars = insets.getInsets(kinds)
            view.setPadding(bars.left, bars.top, bars.right, bars.bottom)
            insets
        }
    }
}
