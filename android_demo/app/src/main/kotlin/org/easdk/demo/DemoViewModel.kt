package org.easdk.demo

import android.app.Application
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.LiveData
import androidx.lifecycle.MutableLiveData
import java.util.concurrent.ScheduledFuture
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicReference

/** What outlives a rotation: the networks, Python's object, and the state that the screen is drawn from. */
class DemoViewModel(application: Application) : AndroidViewModel(application), FrameListener {
    private val screenData = MutableLiveData(Screen())
    private val bestData = MutableLiveData<List<Guess>>(emptyList())

    /** Changes a few times a second at most. */
    val screens: LiveData<Screen> = screenData

    /** The likeliest labels of the last frame. */
    val best: LiveData<List<Guess>> = bestData

    /** Where camera frames go, on `Threads.frames`. */
    val analyzer = FrameAnalyzer(Threads.frames, this)

    @Volatile
    private var screen = Screen()

    @Volatile
    private var stopping = false
    private val lock = Any()
    private val wishedAtNanos = AtomicReference<Long?>(null)
    private var ticks: ScheduledFuture<*>? = null

    // Of the Python thread.
    private var demo: PythonDemo? = null
    private var switcher: Switcher? = null

    /** Looks once a second, from the main thread. */
    fun start() {
        ticks?.cancel(false)
        ticks = Threads.python.scheduleWithFixedDelay({ look(System.nanoTime()) }, 0, TICK_MS, TimeUnit.MILLISECONDS)
    }

    /**
     * Looks no more, from the main thread. The network in use stays.
     *
     * @param leaving whether the app goes out of sight, where a phone slows it down: nothing is measured there.
     */
    fun stop(leaving: Boolean) {
        ticks?.cancel(false)
        if (leaving) stopBenchmark()
    }

    /** The user moved something, on the main thread. Of several moves while Python is busy, the last one counts. */
    fun choose(next: (Choice) -> Choice) {
        if (next(screen.choice) == screen.choice) return
        change { it.copy(choice = next(it.choice)) }
        val waiting = wishedAtNanos.getAndSet(System.nanoTime()) != null
        if (!waiting) {
            Threads.python.execute { wishedAtNanos.getAndSet(null)?.let { look(it) } }
        }
    }

    /** Measures the latency table of this phone, or the rest of it. Meanwhile frames are let go. */
    fun startBenchmark() {
        if (screen.benchmark != null) return
        stopping = false
        analyzer.paused = true
        change { it.copy(benchmark = Progress(0, 0, ""), benchmarkNote = "") }
        Threads.python.execute {
            val note = benchmark()
            analyzer.paused = false
            change { it.copy(benchmark = null, benchmarkNote = note) }
            look(System.nanoTime())
        }
    }

    /** Stops before the next block; what is measured is kept. */
    fun stopBenchmark() {
        stopping = true
    }

    override fun predicted(best: List<Guess>) {
        bestData.postValue(best)
    }

    override fun switched(switch: Switch) {
        change { it.copy(lastSwitch = switch, switches = it.switches + 1) }
    }

    override fun failed(file: String, problem: Exception) {
        Threads.python.execute { switcher?.failed(file, problem) } // the next tick has it written anew
    }

    override fun onCleared() {
        stop(leaving = true)
        analyzer.close()
    }

    /** One look at wish and device, on the Python thread. Nothing that fails here ends the app. */
    private fun look(askedAtNanos: Long) {
        try {
            val asked = opened()
            val now = screen
            val look = asked.look(now.choice.wish(now.info, askedAtNanos))
            val problem = look.problem?.let { text(R.string.error_network, it.message ?: it.toString()) }
            change { it.copy(update = look.update, frames = analyzer.facts(), error = problem ?: look.update.error) }
        } catch (problem: Exception) {
            change { it.copy(error = problem.message ?: problem.toString()) }
        }
    }

    private fun opened(): Switcher {
        switcher?.let { return it }
        val opened = PythonDemo.open(getApplication<Application>())
        demo = opened
        read(opened.info())
        return Switcher(opened, analyzer).also { switcher = it }
    }

    private fun read(info: Info) {
        change { it.copy(info = info, choice = it.choice.possible(info)) }
    }

    /** How the measurement ended, in words. On the Python thread. */
    private fun benchmark(): String {
        val measured = demo ?: return text(R.string.benchmark_failed, screen.error)
        val listener = BenchmarkListener { progress ->
            change { it.copy(benchmark = progress) }
            !stopping
        }
        try {
            measured.measure(BlockTimer(Threads.frames), listener)
            read(measured.info())
        } catch (problem: Exception) {
            return if (stopping) text(R.string.benchmark_stopped) else text(R.string.benchmark_failed, problem.message)
        }
        return text(R.string.benchmark_done)
    }

    private fun text(id: Int, vararg values: Any?): String = getApplication<Application>().getString(id, *values)

    private fun change(next: (Screen) -> Screen) {
        synchronized(lock) { // screens are posted in the order that they are made in
            val changed = next(screen)
            screen = changed
            screenData.postValue(changed)
        }
    }

    private companion object {
        const val TICK_MS = 1000L
    }
}
