// Versions are in gradle/libs.versions.toml. Chaquopy looks for the Android plugin beside its own, hence both here.
plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.kotlin.android) apply false
    alias(libs.plugins.chaquopy) apply false
}
