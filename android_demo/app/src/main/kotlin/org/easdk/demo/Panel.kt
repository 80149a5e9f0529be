package org.easdk.demo

import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.SeekBar
import android.widget.TextView
import kotlin.math.roundToInt
import org.easdk.demo.databinding.PanelBinding

/** The controls and figures beside the preview: what the user moves goes to the model, what changes is shown. */
class Panel(private val views: PanelBinding, private val model: DemoViewModel, private val texts: Texts) {
    private var shown = Screen()

    init {
        views.tasks.onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(parent: AdapterView<*>?, view: View?, position: Int, id: Long) {
                val name = shown.info?.tasks?.getOrNull(position)?.name ?: return
                model.choose { it.copy(task = name) }
            }

            override fun onNothingSelected(parent: AdapterView<*>?) = Unit
        }
        views.budgetUnit.addOnButtonCheckedListener { _, button, checked ->
            if (checked) model.choose { it.copy(unit = unitOf(button)) }
        }
        views.budget.setOnSeekBarChangeListener(object : SeekBar.OnSeekBarChangeListener {
            override fun onProgressChanged(bar: SeekBar?, progress: Int, fromUser: Boolean) {
                val fraction = progress / views.budget.max.toDouble()
                if (fromUser) model.choose { it.copy(fraction = fraction) }
            }

            override fun onStartTrackingTouch(bar: SeekBar?) = Unit

            override fun onStopTrackingTouch(bar: SeekBar?) = Unit
        })
        views.measure.setOnClickListener { model.startBenchmark() }
        views.stop.setOnClickListener { model.stopBenchmark() }
    }

    /** Shows a screen. */
    fun show(screen: Screen) {
        val before = shown
        shown = screen
        if (screen.info != null && screen.info.tasks != before.info?.tasks) showTasks(screen.info)
        showControls(screen)
        showFigures(screen)
        showBenchmark(screen)
    }

    private fun showTasks(info: Info) {
        val names = info.tasks.map { it.name }
        val adapter = ArrayAdapter(views.root.context, android.R.layout.simple_spinner_item, names)
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item)
        views.tasks.adapter = adapter
    }

    private fun showControls(screen: Screen) {
        val choice = screen.choice
        val free = screen.info != null && screen.benchmark == null
        val timed = screen.info?.tasks?.any { it.ms != null } == true
        val task = screen.info?.tasks?.indexOfFirst { it.name == choice.task } ?: -1
        if (task >= 0 && views.tasks.selectedItemPosition != task) views.tasks.setSelection(task)
        views.budgetUnit.check(buttonOf(choice.unit))
        views.tasks.isEnabled = free
        views.unitMadds.isEnabled = free
        views.unitMs.isEnabled = free && timed
        views.unitAuto.isEnabled = free
        views.msHint.visibility = visible(screen.info != null && !timed)
        views.budget.isEnabled = free && choice.span(screen.info) != null
        views.budget.progress = (choice.fraction * views.budget.max).roundToInt()
        views.budgetValue.text = texts.budget(choice, screen.info)
    }

    private fun showFigures(screen: Screen) {
        val update = screen.update
        val network = update?.network
        views.latency.text = texts.latency(network?.predictedMs, screen.frames)
        views.network.text = network?.let { texts.network(it) } ?: ""
        views.architecture.show(network?.units ?: emptyList())
        views.architecture.contentDescription = network?.architecture
        views.switches.text = texts.switches(screen.lastSwitch, screen.switches)
        views.device.text = update?.let { texts.device(it.device) } ?: ""
        val reason = update?.let { "${it.budget}: ${it.reason}" }
        line(views.reason, reason ?: views.root.context.getString(R.string.starting))
        line(views.notice, update?.notice ?: "")
        line(views.error, screen.error)
    }

    private fun showBenchmark(screen: Screen) {
        val progress = screen.benchmark
        views.measure.isEnabled = screen.info != null && progress == null
        views.stop.isEnabled = progress != null
        views.share.isEnabled = screen.info?.table != null && progress == null
        views.progress.visibility = visible(progress != null)
        views.progress.max = progress?.total ?: 0
        views.progress.progress = progress?.done ?: 0
        views.root.keepScreenOn = progress != null
        val context = views.root.context
        val note = progress?.let { context.getString(R.string.benchmark_progress, it.done, it.total, it.what) }
        line(views.benchmarkNote, note ?: screen.benchmarkNote)
    }

    private fun line(view: TextView, text: String) {
        view.text = text
        view.visibility = visible(text.isNotEmpty())
    }

    private fun visible(shown: Boolean): Int = if (shown) View.VISIBLE else View.GONE

    private fun unitOf(button: Int): BudgetUnit = when (button) {
        R.id.unit_ms -> BudgetUnit.MS
        R.id.unit_auto -> BudgetUnit.AUTO
        else -> BudgetUnit.MADDS
    }

    private fun buttonOf(unit: BudgetUnit): Int = when (unit) {
        BudgetUnit.MADDS -> R.id.unit_madds
        BudgetUnit.MS -> R.id.unit_ms
        BudgetUnit.AUTO -> R.id.unit_auto
    }
}
