package org.easdk.demo

import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.Environment
import com.google.ai.edge.litert.TensorBuffer

/** A .tflite file in LiteRT, on the CPU. One thread at a time; `close` frees its memory. */
class Network private constructor(
    private val model: CompiledModel,
    private val inputs: List<TensorBuffer>,
    private val outputs: List<TensorBuffer>,
) : AutoCloseable {
    /** Time of the last inference, in milliseconds, without what goes in and out. */
    var latencyMs = 0.0
        private set

    /** Probabilities of the classes for an image: rows of pixels, three values each, red, green, blue from 0 to 1. */
    fun predict(image: FloatArray): FloatArray {
        inputs[0].writeFloat(image)
        run()
        return outputs[0].readFloat()
    }

    /** One inference of what lies in the inputs. */
    fun run() {
        val began = System.nanoTime()
        model.run(inputs, outputs)
        latencyMs = (System.nanoTime() - began) / NANOS_PER_MS
    }

    override fun close() {
        inputs.forEach { it.close() }
        outputs.forEach { it.close() }
        model.close()
    }

    companion object {
        /** Threads of an inference. Latency tables hold for so many. */
        const val THREADS = 1

        private const val GREY = 0.5f

        private val environment by lazy { Environment.create() }

        /**
         * Loads a file and runs it once, so that no frame pays for a first time.
         *
         * @throws Exception the file is missing or damaged, or LiteRT does not run on this phone.
         */
        fun load(file: String): Network {
            try {
                val options = CompiledModel.Options(Accelerator.CPU)
                options.cpuOptions = CompiledModel.CpuOptions(numThreads = THREADS)
                return started(CompiledModel.create(file, options, environment))
            } catch (problem: LinkageError) { // the library itself; an Error would end the app
                throw IllegalStateException("LiteRT cannot be loaded: ${problem.message}", problem)
            }
        }

        private fun started(model: CompiledModel): Network {
            try {
                val network = Network(model, model.createInputBuffers(), model.createOutputBuffers())
                network.warmUp()
                return network
            } catch (problem: Exception) {
                model.close()
                throw problem
            }
        }
    }

    private fun warmUp() {
        for (input in inputs) {
            input.writeFloat(FloatArray(input.readFloat().size) { GREY })
        }
        run()
    }
}
