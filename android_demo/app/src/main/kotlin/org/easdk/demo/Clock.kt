package org.easdk.demo

/** Nanoseconds in a millisecond. */
const val NANOS_PER_MS = 1e6

/** Milliseconds since a time of `System.nanoTime`. */
fun msSince(nanos: Long): Double = (System.nanoTime() - nanos) / NANOS_PER_MS
