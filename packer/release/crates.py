"""What a release consists of, read from cargo.

Owns the list of crates: which ones one build for one target compiles, which of them end up in the binary, and what each
brings along. Never writes a file: sbom.py and licences.py do, each in its own format.

`cargo metadata` is asked for details only. It unites the features of dev-dependencies and of other targets with those
of the build, and so names crates that no release contains; `cargo tree` resolves as the build does. What cargo reported
while it compiled is the judge of both: see `compiled`.
"""

import json
import re
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# A depth, a name, a version, and perhaps a folder, `(proc-macro)` and `(*)` for a subtree that was printed before.
TREE_LINE = re.compile(r"(\d+) (\S+) v(\S+)(?: \([^)]*\))*")


class Refusal(Exception):
    """Something a release must not be built with; the text says what to do about it."""


@dataclass
class Crate:
    """One package of the lock file that the build compiles."""

    name: str
    version: str
    # In the binary; else it ran at build time, as a macro or in a build script.
    linked: bool
    # As SPDX writes it; crates of old write `/` for `OR`.
    licence: str
    folder: Path
    repository: str | None
    description: str | None
    # SHA-256 of the archive that was downloaded; the crate itself and no other has none.
    checksum: str | None
    needs: set[tuple[str, str]] = field(default_factory=set)

    @property
    def key(self):
        return (self.name, self.version)


def cargo(*arguments):
    """What a command of cargo prints, from the lock file and the crates that are here."""
    command = ["cargo", *arguments, "--locked", "--offline"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refusal(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout


def tree(target, edges, *options):
    """The lines of `cargo tree` as (depth, name, version)."""
    printed = cargo("tree", "--target", target, "--edges", edges, "--prefix", "depth", "--format", " {p}", *options)
    for line in printed.splitlines():
        match = TREE_LINE.match(line)
        if not match:
            raise Refusal(f"cargo tree printed a line that crates.py cannot read: {line!r}")
        yield int(match[1]), match[2], match[3]


def read(target):
    """Every crate of a release for `target`, by name and version; the crate that is released comes first."""
    locked = tomllib.loads((REPOSITORY / "Cargo.lock").read_text(encoding="utf-8"))
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in locked["package"]}
    metadata = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", target))
    packages = {(package["name"], package["version"]): package for package in metadata["packages"]}
    linked = {(name, version) for _, name, version in tree(target, "normal,no-proc-macro")}

    crates, path = {}, []
    for depth, *key in tree(target, "normal,build"):
        key = tuple(key)
        if key not in crates:
            crates[key] = describe(packages[key], checksums[key], key in linked)
        del path[depth:]
        if path:
            crates[path[-1]].needs.add(key)
        path.append(key)
    released, *others = crates.values()
    return [released, *sorted(others, key=lambda crate: crate.key)]


def describe(package, checksum, linked):
    licence = package["license"]
    if not licence:
        raise Refusal(f"{package['name']} {package['version']} names no licence; deny.toml should have refused it")
    return Crate(
        name=package["name"],
        version=package["version"],
        linked=linked,
        licence=re.sub(r"\s*/\s*", " OR ", licence),
        folder=Path(package["manifest_path"]).parent,
        repository=package["repository"],
        description=package["description"],
        checksum=checksum,
    )


def compiled(messages):
    """The crates that cargo reported while it built, from the file with its JSON messages."""
    found = set()
    for line in Path(messages).read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        if message["reason"] == "compiler-artifact":
            found.add(key_of(message["package_id"]))
    return found


def key_of(package_id):
    """`SOURCE#name@version`, and for a folder of the same name `SOURCE/name#version`."""
    source, _, rest = package_id.rpartition("#")
    name, at, version = rest.rpartition("@")
    return (name, version) if at else (source.rsplit("/", 1)[-1], rest)
