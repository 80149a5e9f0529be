import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
    alias(libs.plugins.chaquopy)
}

android {
    namespace = "org.easdk.demo"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        applicationId = "org.easdk.demo"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionCode = 1
        versionName = "demo"
        // Python 3.12 and later come for 64 bits alone: phones, and emulators on a computer.
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
        // A latency table tells which LiteRT its times are of.
        buildConfigField("String", "LITERT_VERSION", "\"${libs.versions.litert.get()}\"")
    }

    buildTypes {
        // Python finds BlockTimer.run and BenchmarkListener.show by their names, which a minifier would change.
        release { isMinifyEnabled = false }
    }

    buildFeatures {
        buildConfig = true
        viewBinding = true
    }

    compileOptions {
        sourceCompatibility = JavaVersion.toVersion(libs.versions.java.get())
        targetCompatibility = JavaVersion.toVersion(libs.versions.java.get())
    }
}

kotlin {
    compilerOptions { jvmTarget.set(JvmTarget.fromTarget(libs.versions.java.get())) }
}

chaquopy {
    defaultConfig {
        version = libs.versions.python.get()
        pip { install("numpy==" + libs.versions.numpy.get()) }
    }
    sourceSets {
        getByName("main") {
            // The SDK and its bundle as they are in this repository. Installing them with pip, as "../..", would make
            // the whole repository an input of the build, the build's own outputs included, which Gradle refuses.
            srcDirs("../..", "../../exporters")
            include("eas_demo/**", "eas_sdk/**", "eas_exporters/**")
            // None is used here, and data files are unpacked one by one when the app first starts.
            exclude("eas_sdk/assets/drawings/**", "eas_sdk/assets/photos/**", "eas_sdk/assets/emoji.safetensors")
            exclude("eas_sdk/cli/**", "**/__pycache__/**")
        }
    }
}

dependencies {
    implementation(libs.litert)
    implementation(libs.androidx.activity)
    implementation(libs.androidx.appcompat)
    implementation(libs.androidx.core)
    implementation(libs.androidx.lifecycle.livedata)
    implementation(libs.androidx.lifecycle.viewmodel)
    implementation(libs.camerax.camera2)
    implementation(libs.camerax.core)
    implementation(libs.camerax.lifecycle)
    implementation(libs.camerax.view)
    implementation(libs.material)
}
