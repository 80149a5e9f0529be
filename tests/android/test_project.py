"""The Android project of the demo, which no compiler sees here: what can be known of it without an Android SDK."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import typing
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tree_sitter
import tree_sitter_kotlin

from eas_demo import blocks, choice
from eas_demo.demo import Demo

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "android_demo"
MAIN = PROJECT / "app" / "src" / "main"
KOTLIN = sorted(MAIN.glob("kotlin/**/*.kt"))
BUILD_FILES = sorted(PROJECT.glob("**/*.kts"))
XML = sorted([MAIN / "AndroidManifest.xml", *MAIN.glob("res/**/*.xml")])
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in KOTLIN)
BUILD = (PROJECT / "app" / "build.gradle.kts").read_text(encoding="utf-8")

ANDROID = "{http://schemas.android.com/apk/res/android}"
TOOLS = "{http://schemas.android.com/tools}"

# What fits together, by the documentation of each: exact versions, or the first and the last that will do.
EXACT = {
    "chaquopy": "17.0.0",  # the first with Python 3.14 and Android's plugin 9; what the Python side was read against
    "python": "3.12",
    "numpy": "1.26.2",  # the wheel that Chaquopy has for Python 3.12
    "litert": "2.3.0",
    "compileSdk": "36",
    "targetSdk": "36",
    "java": "17",  # what Android's plugin 8 runs on
}
RANGES = {
    "agp": ("8.13.2", "8.13.99"),  # Chaquopy 17 takes 7.3 to 9.2; Kotlin 2.3 takes 8.2.2 to 8.13, and R8 from 8.13.2
    "kotlin": ("2.3.0", "2.3.99"),  # reads libraries of Kotlin 2.4 as well; Kotlin 2.4 wants a newer Gradle
    "minSdk": ("26", "36"),  # Chaquopy from 24, CameraX and LiteRT's manifest from 23, LiteRT's library from 26
    "camerax": ("1.5.0", "1.5.99"),
    "activity": ("1.10.0", "1.11.99"),  # the libraries below: stable, and content with compileSdk 36
    "appcompat": ("1.7.0", "1.7.99"),
    "core": ("1.15.0", "1.17.99"),
    "lifecycle": ("2.8.0", "2.9.99"),
    "material": ("1.12.0", "1.13.99"),
}
GRADLE = ("8.13", "8.99")  # what that plugin of Android takes
MODULES = {
    "com.google.ai.edge.litert:litert",
    "com.google.android.material:material",
    "androidx.activity:activity-ktx",
    "androidx.appcompat:appcompat",
    "androidx.core:core-ktx",
    "androidx.lifecycle:lifecycle-livedata-ktx",
    "androidx.lifecycle:lifecycle-viewmodel-ktx",
    *(f"androidx.camera:camera-{part}" for part in ("camera2", "core", "lifecycle", "view")),
}
PLUGINS = {"com.android.application", "org.jetbrains.kotlin.android", "com.chaquo.python"}
ABIS = {"arm64-v8a", "x86_64"}  # all that Chaquopy has Python 3.12 for
BROUGHT_BY_LITERT = {"android.permission.FOREGROUND_SERVICE", "android.permission.FOREGROUND_SERVICE_DATA_SYNC"}

# Classes of Android that Kotlin imports, all of the first API level, and members that came after level 24. What is
# newer is left to Python, which asks for the level first (eas_demo/phone.py, eas_sdk/device/android.py).
CLASSES = {
    *("android.Manifest", "android.app.Application", "android.content.Context", "android.content.Intent"),
    *("android.content.pm.PackageManager", "android.graphics.Canvas", "android.graphics.Paint", "android.net.Uri"),
    *("android.os.Bundle", "android.provider.Settings", "android.util.AttributeSet", "android.view.View"),
    *(f"android.widget.{name}" for name in ("AdapterView", "ArrayAdapter", "FrameLayout", "SeekBar", "TextView")),
}
MEMBERS = {
    "adaptive-icon": 26,
    "layout_marginHorizontal": 26,
    "NotificationChannel": 26,
    "mainExecutor": 28,
    "currentThermalStatus": 29,
    "getThermalHeadroom": 30,
    "windowInsetsController": 30,
    "SOC_MODEL": 31,
    "POST_NOTIFICATIONS": 33,
}


def tree(text: str) -> tree_sitter.Node:
    """The root of a Kotlin text."""
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_kotlin.language())).parse(text.encode()).root_node


def nodes(root: tree_sitter.Node, kind: str) -> Iterator[tree_sitter.Node]:
    """All nodes of a kind, below a node or at it."""
    if root.type == kind:
        yield root
    for child in root.children:
        yield from nodes(child, kind)


def text_of(node: tree_sitter.Node | None) -> str:
    assert node is not None
    assert node.text is not None
    return node.text.decode()


def calls(root: tree_sitter.Node, member: str) -> Iterator[tuple[str, int]]:
    """First argument, without quotes, and number of further arguments of calls of a member."""
    for call in nodes(root, "call_expression"):
        if text_of(call.children[0]).split(".")[-1] == member and (arguments := call.children[1].named_children):
            yield text_of(arguments[0]).strip('"'), len(arguments) - 1


def kotlin(name: str) -> str:
    (path,) = (path for path in KOTLIN if path.name == name)
    return path.read_text(encoding="utf-8")


def catalog() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "gradle" / "libs.versions.toml").read_text(encoding="utf-8"))


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def within(version: str, span: tuple[str, str]) -> bool:
    return numbers(span[0]) <= numbers(version) <= numbers(span[1])


@pytest.mark.parametrize("path", [*KOTLIN, *BUILD_FILES], ids=lambda path: path.name)
def test_kotlin_parses(path: Path) -> None:
    assert not tree(path.read_text(encoding="utf-8")).has_error


def test_a_broken_text_is_seen() -> None:
    whole = kotlin("FrameTimes.kt")
    for broken in (whole.replace("{", "", 1), whole.replace("fun add(", "fun add", 1), whole[: len(whole) // 2]):
        assert tree(broken).has_error


@pytest.mark.parametrize("path", XML, ids=lambda path: path.relative_to(MAIN).as_posix())
def test_xml_is_well_formed(path: Path) -> None:
    ET.parse(path)


def test_versions_fit_together() -> None:
    versions = catalog()["versions"]
    assert versions.keys() == EXACT.keys() | RANGES.keys()
    assert {name: versions[name] for name in EXACT} == EXACT
    assert [name for name, span in RANGES.items() if not within(versions[name], span)] == []


def test_coordinates_are_known_and_have_a_version_of_the_catalog() -> None:
    libraries, plugins = catalog()["libraries"].values(), catalog()["plugins"].values()
    assert {library["module"] for library in libraries} == MODULES
    assert {plugin["id"] for plugin in plugins} == PLUGINS
    used = {entry["version"]["ref"] for entry in [*libraries, *plugins]}
    named = set(re.findall(r"libs\.versions\.(\w+)\.get", BUILD))
    assert used | named == catalog()["versions"].keys()


def test_the_build_files_use_the_catalog_and_name_no_version() -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in BUILD_FILES)
    code = re.sub(r"//.*", "", written)
    assert re.findall(r"\d+\.\d+|\"[\w.-]+:[\w.-]+", code) == []
    names = {f"libs.{name.replace('-', '.')}" for name in catalog()["libraries"]}
    plugins = {f"libs.plugins.{name.replace('-', '.')}" for name in catalog()["plugins"]}
    assert set(re.findall(r"implementation\(([\w.]+)\)", code)) == names
    assert set(re.findall(r"alias\(([\w.]+)\)", code)) == plugins


def test_the_gradle_of_the_wrapper_suits_the_android_plugin() -> None:
    properties = (PROJECT / "gradle" / "wrapper" / "gradle-wrapper.properties").read_text(encoding="utf-8")
    (version,) = re.findall(r"gradle-([\d.]+)-bin\.zip", properties)
    assert within(version, GRADLE)


def test_the_processors_are_those_that_python_comes_for() -> None:
    (filters,) = re.findall(r"abiFilters \+= listOf\((.*?)\)", BUILD)
    assert set(re.findall(r'"([\w-]+)"', filters)) == ABIS


def test_the_camera_is_the_only_permission() -> None:
    asked, removed = set(), set()
    for permission in ET.parse(MAIN / "AndroidManifest.xml").iter("uses-permission"):
        kind = removed if permission.get(f"{TOOLS}node") == "remove" else asked
        kind.add(permission.get(f"{ANDROID}name"))
    assert asked == {"android.permission.CAMERA"}
    assert removed == BROUGHT_BY_LITERT


def test_a_device_without_a_camera_can_install_it() -> None:
    features = ET.parse(MAIN / "AndroidManifest.xml").iter("uses-feature")
    required = {feature.get(f"{ANDROID}name"): feature.get(f"{ANDROID}required") for feature in features}
    assert required == {"android.hardware.camera": "false", "android.hardware.camera.any": "false"}


def declared_resources() -> set[str]:
    """Resources of the app, such as string/measure."""
    found = set()
    for path in MAIN.glob("res/*/*.xml"):
        folder = path.parent.name.split("-")[0]
        if folder == "values":
            found |= {f"{entry.tag}/{entry.get('name')}" for entry in ET.parse(path).getroot()}
        else:
            found.add(f"{folder}/{path.stem}")
    return found


def declared_ids() -> set[str]:
    text = "".join(path.read_text(encoding="utf-8") for path in MAIN.glob("res/layout*/*.xml"))
    return set(re.findall(r'android:id="@\+id/(\w+)"', text))


def test_every_resource_exists_and_is_used() -> None:
    xml = "".join(path.read_text(encoding="utf-8") for path in XML)
    used = {"/".join(found) for found in re.findall(r'"@(?!\+id|id)(\w+)/([\w.]+)"', xml)}
    used |= {"/".join(found) for found in re.findall(r"(?<!android\.)\bR\.(?!id\b)(\w+)\.(\w+)", SOURCE)}
    for binding in re.findall(r"import org\.easdk\.demo\.databinding\.(\w+)Binding", SOURCE):
        used.add("layout/" + re.sub(r"(?<!^)([A-Z])", r"_\1", binding).lower())
    assert used == declared_resources()


def test_every_view_exists_and_is_used() -> None:
    camel = {re.sub(r"_(\w)", lambda found: found[1].upper(), name): name for name in declared_ids()}
    read = set(re.findall(r"\bviews\.(\w+)", SOURCE)) | set(re.findall(r"\bviews\.(?:panel|picture)\.(\w+)", SOURCE))
    assert read - {"root", "panel", "picture"} == camel.keys() - {"panel", "picture"}
    assert set(re.findall(r"\bR\.id\.(\w+)", SOURCE)) <= declared_ids()


def test_both_orientations_have_the_same_views() -> None:
    upright, wide = (ET.parse(MAIN / "res" / folder / "activity_main.xml") for folder in ("layout", "layout-land"))
    ids = [[view.get(f"{ANDROID}id") for view in layout.iter()] for layout in (upright, wide)]
    assert ids[0] == ids[1]


def test_texts_are_given_as_many_values_as_they_have_places_for() -> None:
    places = {}
    for entry in ET.parse(MAIN / "res" / "values" / "strings.xml").getroot():
        places[entry.get("name")] = len(set(re.findall(r"%(\d)\$[sd]", entry.text or "")))
    found = 0
    for path in KOTLIN:
        for member in ("getString", "text"):
            for name, count in calls(tree(path.read_text(encoding="utf-8")), member):
                if name.startswith("R.string."):
                    assert count == places[name.removeprefix("R.string.")], name
                    found += 1
    assert found == len(re.findall(r"R\.string\.\w+", SOURCE))


def test_components_of_the_manifest_and_of_layouts_exist() -> None:
    package = re.findall(r'namespace = "([\w.]+)"', BUILD)[0]
    classes = {f"{package}.{name}" for name in re.findall(r"^class (\w+)", SOURCE, re.MULTILINE)}
    activity = ET.parse(MAIN / "AndroidManifest.xml").find(".//activity")
    assert activity is not None
    assert f"{package}{activity.get(f'{ANDROID}name')}" in classes
    views = {view.tag for path in MAIN.glob("res/layout*/*.xml") for view in ET.parse(path).iter()}
    assert {view for view in views if view.startswith(package)} <= classes
    assert {line.split()[1] for line in SOURCE.splitlines() if line.startswith("package ")} == {package}


def test_no_api_of_android_is_newer_than_the_oldest_phone() -> None:
    oldest = int(catalog()["versions"]["minSdk"])
    imported = set(re.findall(r"^import (android\.[\w.]+)", SOURCE, re.MULTILINE))
    assert imported == CLASSES, "look up a new class's first API level, then enter it"
    everything = SOURCE + "".join(path.read_text(encoding="utf-8") for path in XML)
    newer = {name for name, level in MEMBERS.items() if level > oldest}
    assert [name for name in newer if re.search(rf"(?<!\w){name}(?!\w)", everything)] == []


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Objects of real answers of Python, by the class of Answers.kt that reads them."""
    demo = Demo(str(tmp_path_factory.mktemp("storage")), EXACT["litert"])
    info = json.loads(demo.info())
    wishes = (("madds", 4e6), ("auto", 0), ("ms", 1))
    updates = [json.loads(demo.update("birds", unit, value)) for unit, value in wishes]
    networks = [update["network"] for update in updates]
    return {
        "Info": [info],
        "TaskFacts": list(info["tasks"].values()),
        "Update": updates,
        "NetworkFacts": networks,
        "Block": [block for network in networks for unit in network["units"] for block in unit],
        "DeviceFacts": [update["state"] for update in updates],
    }


def test_kotlin_reads_what_python_writes(answers: dict[str, list[Any]]) -> None:
    kinds = {"String": str, "Int": int, "Double": (int, float), "Boolean": bool, "JSONArray": list, "JSONObject": dict}
    kinds |= {"text": str, "number": (int, float), "flag": bool}
    may_be_null = ("textOrNull", "numberOrNull", "flagOrNull", "optJSONArray", "optJSONObject")
    seen = set()
    for declaration in nodes(tree(kotlin("Answers.kt")), "class_declaration"):
        name = text_of(declaration.child_by_field_name("name"))
        for reader, key in re.findall(r'\bjson\.(\w+)\("(\w+)"\)', text_of(declaration)):
            kind = kinds[re.sub(r"^(get|opt)|OrNull$", "", reader)]
            for answer in answers[name]:
                assert key in answer, f"{name} reads {key!r}"
                value = answer[key]
                assert isinstance(value, kind) or (value is None and reader in may_be_null), f"{name}: {key} = {value}"
            seen.add(name)
    assert seen == answers.keys()


def test_kotlin_calls_python_as_it_is() -> None:
    source = tree(kotlin("PythonDemo.kt"))
    assert [name for name, _ in calls(source, "getModule")] == [Demo.__module__]
    called = dict(calls(source, "callAttr"))
    assert called.keys() == {"Demo", "info", "update", "discard", "measure"}
    for name, count in called.items():
        function = Demo if name == "Demo" else getattr(Demo, name)
        given = range(count) if name == "Demo" else range(count + 1)  # and the object itself
        inspect.signature(function).bind(*given)


@pytest.mark.parametrize(
    ("file", "function", "protocol"),
    [("BlockTimer.kt", "run", blocks.BlockRunner.run), ("BlockTimer.kt", "show", blocks.Listener.show)],
    ids=["runner", "listener"],
)
def test_python_calls_kotlin_as_it_is(file: str, function: str, protocol: Any) -> None:
    in_kotlin = {str: "String", int: "Int", bool: "Boolean", float: "Double"}
    hints = typing.get_type_hints(protocol)
    returned = hints.pop("return")
    (declared,) = (
        declaration
        for declaration in nodes(tree(kotlin(file)), "function_declaration")
        if text_of(declaration.child_by_field_name("name")) == function
    )
    parameters = [text_of(parameter).split(": ")[1] for parameter in nodes(declared, "parameter")]
    assert parameters == [in_kotlin[hint] for hint in hints.values()]
    expected = "Boolean" if returned is bool else "DoubleArray"
    assert re.search(rf"\): {expected}\b", text_of(declared))


def test_the_units_of_the_slider_are_pythons() -> None:
    (units,) = (unit for unit in nodes(tree(kotlin("Choice.kt")), "class_declaration") if "enum" in text_of(unit)[:10])
    assert tuple(re.findall(r'[A-Z]+\("(\w+)"\)', text_of(units))) == choice.UNITS


def test_the_shared_copy_lies_where_other_apps_may_read() -> None:
    (folder,) = re.findall(r'const val FOLDER = "(\w+)"', SOURCE)
    paths = ET.parse(MAIN / "res" / "xml" / "file_paths.xml").getroot()
    assert [(path.tag, path.get("path")) for path in paths] == [("cache-path", f"{folder}/")]
    provider = ET.parse(MAIN / "AndroidManifest.xml").find(".//provider")
    assert provider is not None
    (suffix,) = re.findall(r'"\$\{context\.packageName\}(\.\w+)"', SOURCE)
    assert provider.get(f"{ANDROID}authorities") == "${applicationId}" + suffix


def test_what_the_build_packs_is_enough_to_run(tmp_path: Path) -> None:
    sources, included, excluded = (
        " ".join(re.findall(rf"\b{word}\((.*?)\)", BUILD)) for word in ("srcDirs", "include", "exclude")
    )
    packed = tmp_path / "packed"
    for folder in (*(PROJECT / "app" / name for name in re.findall(r'"(.*?)"', sources)), MAIN / "python"):
        for pattern in re.findall(r'"(\w+)/\*\*"', included):
            if (folder / pattern).is_dir():
                shutil.copytree(folder / pattern, packed / pattern, ignore=shutil.ignore_patterns("__pycache__"))
    for pattern in re.findall(r'"([\w/]+)/\*\*"', excluded):
        shutil.rmtree(packed / pattern)
    for pattern in re.findall(r'"([\w/.]+\.\w+)"', excluded):
        (packed / pattern).unlink()
    storage = str(tmp_path / "files")
    script = (
        "import sys; from eas_demo.demo import Demo\n"
        f"print(Demo({storage!r}).update('birds', 'madds', 4e7))\n"
        "print(*{str(module.__file__) for name, module in sys.modules.items() if name.startswith(('eas', 'exp'))})"
    )
    environment = {**os.environ, "PYTHONPATH": str(packed), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, cwd=packed, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    answer, files = ran.stdout.splitlines()
    assert [file for file in files.split() if not Path(file).is_relative_to(packed)] == [], "not packed"
    assert json.loads(answer)["error"] == ""
    assert Path(json.loads(answer)["network"]["file"]).stat().st_size > 0


def test_the_readme_says_what_each_file_does() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+\.kt)`", readme))
    assert named == {path.name for path in KOTLIN}
