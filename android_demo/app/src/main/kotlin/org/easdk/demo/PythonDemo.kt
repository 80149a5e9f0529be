package org.easdk.demo

import android.content.Context
import com.chaquo.python.PyObject
import com.chaquo.python.Python
import com.chaquo.python.android.AndroidPlatform
import org.json.JSONObject

/**
 * The object of `eas_demo/demo.py`, which decides, slices and writes. On the Python thread alone.
 *
 * Every call may throw a `PyException`: an error of Python that its answer has no member for.
 */
class PythonDemo private constructor(private val demo: PyObject) {
    /** What there is to choose from. */
    fun info(): Info = Info.from(JSONObject(demo.callAttr("info").toString()))

    /**
     * What to run now.
     *
     * @param networkFile the file whose inferences `measuredMs` are times of.
     * @param measuredMs those since the last call, in milliseconds.
     */
    fun update(wish: Wish, networkFile: String, measuredMs: DoubleArray): Update {
        val answer = demo.callAttr("update", wish.task, wish.unit.code, wish.value, networkFile, measuredMs)
        return Update.from(JSONObject(answer.toString()))
    }

    /** Forgets a file that cannot be run; the next `update` writes it anew. */
    fun discard(networkFile: String) {
        demo.callAttr("discard", networkFile)
    }

    /** Measures what the latency table lacks. Takes minutes. */
    fun measure(timer: BlockTimer, listener: BenchmarkListener) {
        demo.callAttr("measure", timer, listener)
    }

    companion object {
        private var startFailure: Exception? = null

        /** Starts Python, where it does not run yet, and opens the SDK's bundle. Takes a second or so. */
        fun open(context: Context): PythonDemo {
            start(context)
            val module = Python.getInstance().getModule("eas_demo.demo")
            val folder = context.filesDir.path
            return PythonDemo(module.callAttr("Demo", folder, BuildConfig.LITERT_VERSION, Network.THREADS))
        }

        private fun start(context: Context) {
            startFailure?.let { throw it } // a second start is refused, with words that hide the cause
            if (Python.isStarted()) return
            try {
                Python.start(AndroidPlatform(context))
            } catch (problem: Exception) {
                startFailure = problem
                throw problem
            } catch (problem: LinkageError) { // no library for this kind of processor, or for its page size
                val failure = IllegalStateException("Python did not start: ${problem.message}", problem)
                startFailure = failure
                throw failure
            }
        }
    }
}
