"""Writes the licences of everything in the binary: who asks for which, and every text once.

    licences.py --target TRIPLE

Prints the document. Owns which files of a crate are its licences, and whose text stands for a crate that carries none;
a crate without a text is refused, for its terms ask that the text goes where the binary goes. Which licences are
acceptable at all is decided in deny.toml.
"""

import argparse
import html.parser
import os
import re
import subprocess
import sys
from pathlib import Path

import crates

TEXT_NAME = re.compile(r"(un)?(licen[cs]e|copying|copyright|notice)([-_.].*)?", re.IGNORECASE)
SOURCE_SUFFIXES = {".rs", ".c", ".h", ".py", ".yml", ".yaml"}

# Of the C libraries that some crates carry, these parts are not compiled; their terms, often others, are not ours.
FOLDERS_NOT_COMPILED = {"benches", "contrib", "doc", "examples", "ossfuzz", "programs", "tests", ".github"}

# Where a text is one half of a choice, and deny.toml allows only the other.
TEXTS_NOT_CHOSEN = {
    ("zstd-sys", "zstd/COPYING"),  # GPL-2.0; zstd/LICENSE is BSD-3-Clause
}

# Crates whose archives carry no text, and the crate whose text it is: the same authors under the same licence.
TEXT_IS_THAT_OF = {
    "alloc-stdlib": "alloc-no-stdlib",
    "base64-simd": "outref",
    "vsimd": "outref",
}

RULE = "=" * 100


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--target", required=True)
    released, *others = crates.read(arguments.parse_args().target)
    linked = [crate for crate in others if crate.linked]
    sys.stdout.write(document(released, linked, standard_library()))


def document(released, linked, standard_library_text):
    carriers = {}
    for crate in linked:
        for text in texts(crate, linked):
            # Copies of one text differ in their line breaks.
            _, names = carriers.setdefault(" ".join(text.split()), (text, []))
            names.append(f"{crate.name} {crate.version}")
    lines = [
        f"{released.name} {released.version}: {released.licence}",
        "",
        "It contains these crates and the standard library of Rust, each under the terms behind its name. The texts",
        "follow, its own first, each of the others after the names of those that carry it.",
        "",
    ]
    lines += [f"{crate.name} {crate.version}: {crate.licence}" for crate in linked]
    lines += ["", RULE, f"{released.name} {released.version}", RULE, "", own_licence()]
    for text, names in sorted(carriers.values(), key=lambda carrier: carrier[1]):
        lines += ["", RULE, *wrapped(names), RULE, "", text]
    lines += ["", RULE, "The standard library of Rust", RULE, "", standard_library_text]
    return "\n".join(lines) + "\n"


def texts(crate, linked):
    """The licence texts of a crate, each once, in the order of their files' names."""
    found = own_texts(crate)
    if found:
        return found
    if crate.name in TEXT_IS_THAT_OF:
        (other,) = [other for other in linked if other.name == TEXT_IS_THAT_OF[crate.name]]
        return own_texts(other)
    if crate.licence == "Apache-2.0":
        # Without a notice of the authors' own the licence asks for itself alone, and its text is always the same.
        return [own_licence()]
    raise crates.Refusal(
        f"{crate.name} {crate.version} ({crate.licence}) carries no licence text below {crate.folder}: "
        "name the crate whose text it is in TEXT_IS_THAT_OF"
    )


def own_licence():
    return normal((crates.REPOSITORY / "LICENSE").read_text(encoding="utf-8"))


def own_texts(crate):
    found = []
    for folder, folders, names in os.walk(crate.folder):
        folders[:] = sorted(set(folders) - FOLDERS_NOT_COMPILED)
        for name in sorted(names):
            path = Path(folder, name)
            if not TEXT_NAME.fullmatch(name) or path.suffix in SOURCE_SUFFIXES:
                continue
            if (crate.name, str(path.relative_to(crate.folder))) in TEXTS_NOT_CHOSEN:
                continue
            text = normal(path.read_text(encoding="utf-8", errors="replace"))
            if text and text not in found:
                found.append(text)
    return found


def normal(text):
    """Without what differs between copies and means nothing: line ends, white space at ends, empty lines around."""
    return "\n".join(line.rstrip() for line in text.expandtabs().splitlines()).strip("\n")


def wrapped(names, columns=100):
    lines, line = [], ""
    for name in names:
        if line and len(line) + len(name) + 2 > columns:
            lines.append(line + ",")
            line = ""
        line = f"{line}, {name}" if line else name
    return [*lines, line]


class PlainText(html.parser.HTMLParser):
    """The words of the page that comes with the toolchain, without its markup."""

    BLOCKS = {"br", "div", "h1", "h2", "h3", "li", "p", "pre", "tr"}

    def __init__(self):
        super().__init__()
        self.parts, self.skipped = [], 0

    def handle_starttag(self, tag, attrs):
        if tag in ("head", "style", "script"):
            self.skipped += 1
        elif tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag):
        if tag in ("head", "style", "script"):
            self.skipped -= 1
        elif tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data):
        if not self.skipped:
            self.parts.append(data)


def standard_library():
    """The notices of the standard library and of what it links, as the toolchain states them."""
    done = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True)
    page = Path(done.stdout.strip(), "share/doc/rust/COPYRIGHT-library.html")
    if not page.is_file():
        raise crates.Refusal(f"the toolchain carries no {page}: rustup component add rustc installs it")
    reader = PlainText()
    reader.feed(page.read_text(encoding="utf-8"))
    return re.sub(r"\n{3,}", "\n\n", normal("".join(reader.parts)))


if __name__ == "__main__":
    try:
        main()
    except crates.Refusal as refusal:
        sys.exit(f"licences.py: {refusal}")
