package org.easdk.demo

import android.content.Context
import android.content.Intent
import androidx.core.content.FileProvider
import java.io.File

/** Hands the latency table to another app: `eas specialize ... --latency-table` reads it on a computer. */
object TableSharing {
    private const val FOLDER = "shared" // the one that res/xml/file_paths.xml names

    /**
     * An intent that offers a copy of the table.
     *
     * @throws java.io.IOException there is no table, or no room for a copy.
     */
    fun intent(context: Context, table: File): Intent {
        val copy = File(File(context.cacheDir, FOLDER), table.name)
        table.copyTo(copy, overwrite = true)
        val address = FileProvider.getUriForFile(context, "${context.packageName}.files", copy)
        val offer = Intent(Intent.ACTION_SEND)
            .setType("application/json")
            .putExtra(Intent.EXTRA_STREAM, address)
            .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
        return Intent.createChooser(offer, context.getString(R.string.share_title))
    }
}
