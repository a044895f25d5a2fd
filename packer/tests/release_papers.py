"""Shows that the papers of a release are right, and that wrong ones are refused.

    release_papers.py FOLDER   where packer/build has put the papers of a release

First the cases of packer/release/{crates,sbom,licences}.py, on imagined crates, then the papers that lie there. The
schema is the one that the package cyclonedx-python-lib carries: tests/setup/python_tools.sh installs it.
"""

import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "release"))

import crates  # noqa: E402
import licences  # noqa: E402
import sbom  # noqa: E402

BUILD = {
    "version": "1.0.0",
    "commit": "0" * 40,
    "commit_time": "2026-01-02T03:04:05Z",
    "target": "x86_64-unknown-linux-gnu",
    "rustc": "rustc 1.95.0 (59807616e 2026-04-14)",
    "cc": "cc (Debian 12.2.0-14) 12.2.0",
    "glibc_needed": "2.34",
    "sha256": "a" * 64,
}


def imagined(name, version="1.0.0", **differences):
    values = {
        "linked": True,
        "licence": "MIT",
        "folder": Path("/nowhere"),
        "repository": f"https://example.invalid/{name}",
        "description": "A crate.",
        "checksum": "b" * 64,
    }
    return crates.Crate(name, version, **(values | differences))


def schema_error(document):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.from_version(sbom.SPEC_VERSION)).validate_str(json.dumps(document))


class Crates(unittest.TestCase):
    def test_what_cargo_reports_is_read_in_both_of_its_forms(self):
        messages = [
            {"reason": "compiler-artifact", "package_id": "registry+https://example.invalid/index#serde@1.0.2"},
            {"reason": "compiler-artifact", "package_id": "path+file:///somewhere/headwater#0.1.0"},
            {"reason": "compiler-artifact", "package_id": "path+file:///another-folder#headwater@0.1.0"},
            {"reason": "build-script-executed", "package_id": "registry+https://example.invalid/index#ring@0.17.0"},
        ]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "messages.json")
            path.write_text("\n".join(map(json.dumps, messages)), encoding="utf-8")
            self.assertEqual(crates.compiled(path), {("serde", "1.0.2"), ("headwater", "0.1.0")})

    def test_lines_of_the_tree_are_read(self):
        for line, wanted in {
            "0 headwater v0.1.0 (/some/where else)": ("0", "headwater", "0.1.0"),
            "12 lz4-sys v1.11.1+lz4-1.10.0": ("12", "lz4-sys", "1.11.1+lz4-1.10.0"),
            "2 serde_derive v1.0.0 (proc-macro) (*)": ("2", "serde_derive", "1.0.0"),
        }.items():
            self.assertEqual(crates.TREE_LINE.fullmatch(line).groups(), wanted)


class Sbom(unittest.TestCase):
    def test_a_crate_that_was_not_compiled_is_refused(self):
        with self.assertRaisesRegex(crates.Refusal, "extra 1.0.0 is listed but was not compiled"):
            sbom.compare([imagined("app"), imagined("extra")], {("app", "1.0.0")})

    def test_a_compiled_crate_that_is_missing_is_refused(self):
        with self.assertRaisesRegex(crates.Refusal, "hidden 2.0.0 was compiled but is not listed"):
            sbom.compare([imagined("app")], {("app", "1.0.0"), ("hidden", "2.0.0")})

    def test_the_serial_number_follows_the_content_and_nothing_else(self):
        found = [imagined("app", checksum=None), imagined("serde")]
        first = sbom.document(found, BUILD)
        self.assertEqual(first, sbom.document(found, BUILD))
        other = sbom.document(found, BUILD | {"sha256": "c" * 64})
        self.assertNotEqual(first["serialNumber"], other["serialNumber"])

    def test_crates_of_the_build_alone_are_excluded_and_versions_are_escaped(self):
        lz4 = imagined("lz4-sys", "1.0.0+lz4-2", needs={("cc", "1.0.0")})
        found = [imagined("app"), lz4, imagined("cc", linked=False)]
        document = sbom.document(found, BUILD)
        self.assertEqual(
            {entry["name"]: entry["scope"] for entry in document["components"]},
            {"rust-std": "required", "lz4-sys": "required", "cc": "excluded"},
        )
        needs = {entry["ref"]: entry["dependsOn"] for entry in document["dependencies"]}
        self.assertEqual(needs["pkg:cargo/lz4-sys@1.0.0%2Blz4-2"], ["pkg:cargo/cc@1.0.0", "rust-std@1.95.0"])
        self.assertIsNone(schema_error(document))

    def test_the_schema_refuses_what_is_no_bill_of_materials(self):
        document = sbom.document([imagined("app"), imagined("serde")], BUILD)
        self.assertIsNone(schema_error(document))
        document["components"][1]["type"] = "crate"
        self.assertIsNotNone(schema_error(document))


class Licences(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def crate(self, name, files, **differences):
        folder = self.folder / name
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        return imagined(name, folder=folder, **differences)

    def test_texts_of_a_crate_and_of_what_it_carries_are_found_and_nothing_else(self):
        crate = self.crate(
            "sys",
            {
                "LICENSE-MIT": "own\r\n",
                "third_party/fiat/LICENSE": "fiat",
                "COPYING.txt": "own",
                "tests/COPYING": "of tests",
                "src/license.rs": "code",
                "README.md": "prose",
            },
        )
        self.assertEqual(licences.texts(crate, [crate]), ["own", "fiat"])

    def test_a_crate_without_a_text_is_refused(self):
        crate = self.crate("bare", {"src/lib.rs": ""})
        with self.assertRaisesRegex(crates.Refusal, r"bare 1\.0\.0 \(MIT\) carries no licence text"):
            licences.texts(crate, [crate])

    def test_a_text_may_be_that_of_another_crate_or_the_standard_one(self):
        bare = self.crate("vsimd", {"src/lib.rs": ""})
        other = self.crate("outref", {"LICENSE": "theirs"})
        self.assertEqual(licences.texts(bare, [bare, other]), ["theirs"])
        apache = self.crate("apache", {"src/lib.rs": ""}, licence="Apache-2.0")
        self.assertIn("Apache License", licences.texts(apache, [apache])[0])

    def test_one_text_is_printed_once_with_all_who_carry_it(self):
        a = self.crate("a", {"LICENSE": "the same\ntext"})
        b = self.crate("b", {"LICENSE": "the same text"})
        printed = licences.document(imagined("app"), [a, b], "of the library")
        self.assertEqual(printed.count("the same"), 1)
        self.assertIn("a 1.0.0, b 1.0.0", printed)


class Made(unittest.TestCase):
    """The papers of the build that FOLDER names."""

    folder = Path()

    def setUp(self):
        self.bom = json.loads((self.folder / "headwater.cdx.json").read_text(encoding="utf-8"))
        self.build = json.loads((self.folder / "build-info.json").read_text(encoding="utf-8"))
        self.found = crates.read(self.build["target"])

    def test_the_bill_of_materials_is_valid_and_about_this_binary(self):
        self.assertIsNone(schema_error(self.bom))
        self.assertEqual(self.bom["metadata"]["component"]["hashes"][0]["content"], self.build["sha256"])

    def test_the_bill_of_materials_names_what_the_lock_file_gives_for_this_target(self):
        listed = {(entry["name"], entry["version"], entry["scope"]) for entry in self.bom["components"]}
        wanted = {(one.name, one.version, "required" if one.linked else "excluded") for one in self.found[1:]}
        self.assertEqual({entry for entry in listed if entry[0] != "rust-std"}, wanted)
        # Used by tests only: the serving of S3, and snapshots.
        self.assertFalse({"s3s", "insta", "proptest", "criterion"} & {name for name, _, _ in listed})

    def test_every_linked_crate_is_in_the_licences(self):
        printed = (self.folder / "THIRD-PARTY-LICENSES").read_text(encoding="utf-8")
        for one in self.found[1:]:
            if one.linked:
                self.assertIn(f"\n{one.name} {one.version}: {one.licence}\n", printed)
        self.assertNotIn("GNU GENERAL PUBLIC LICENSE", printed)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: release_papers.py FOLDER")
    Made.folder = Path(sys.argv.pop())
    unittest.main(verbosity=2)
