package org.easdk.demo

import android.content.Context
import android.util.AttributeSet
import android.view.View
import android.widget.FrameLayout

/** The largest square in the space that there is: the preview in it shows what is classified, and no more. */
class SquareFrame(context: Context, attributes: AttributeSet) : FrameLayout(context, attributes) {
    override fun onMeasure(widthMeasureSpec: Int, heightMeasureSpec: Int) {
        val side = minOf(View.MeasureSpec.getSize(widthMeasureSpec), View.MeasureSpec.getSize(heightMeasureSpec))
        val exactly = View.MeasureSpec.makeMeasureSpec(side, View.MeasureSpec.EXACTLY)
        super.onMeasure(exactly, exactly)
    }
}
