"""Writes the bill of materials of a release: CycloneDX 1.6, the same bytes for the same binary.

    sbom.py --target TRIPLE --messages FILE --build-info FILE

Prints the document. `FILE` of --messages holds what cargo printed (--message-format json) as it built the binary; a
crate that is in one list only is refused. Linked crates have the scope `required`, those that only ran at build time
`excluded`. Instead of a random serial number and the time of day: an identifier made from the content, and the commit's
date. Which crates there are is decided in crates.py.
"""

import argparse
import json
import sys
import uuid
from pathlib import Path
from urllib.parse import quote

import crates

SPEC_VERSION = "1.6"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--target", "--messages", "--build-info"):
        arguments.add_argument(name, required=True)
    given = arguments.parse_args()
    build = json.loads(Path(given.build_info).read_text(encoding="utf-8"))
    found = crates.read(given.target)
    compare(found, crates.compiled(given.messages))
    json.dump(document(found, build), sys.stdout, indent=2, sort_keys=True, ensure_ascii=False)
    print()


def compare(found, compiled):
    """The list that the lock file gives must be the list that was compiled."""
    listed = {crate.key for crate in found}
    problems = [f"{name} {version} is listed but was not compiled" for name, version in sorted(listed - compiled)]
    problems += [f"{name} {version} was compiled but is not listed" for name, version in sorted(compiled - listed)]
    if problems:
        raise crates.Refusal("the bill of materials would be wrong: " + "; ".join(problems))


def document(found, build):
    released, *others = found
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {
            "timestamp": build["commit_time"],
            "lifecycles": [{"phase": "build"}],
            "component": application(released, build),
        },
        "components": [standard_library(build), *map(component, others)],
        "dependencies": [dependency(crate, build) for crate in found],
    }
    content = json.dumps(bom, sort_keys=True)
    bom["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}"
    return bom


def application(released, build):
    """The binary itself; no registry has it, so its package URL is the one of a plain file."""
    return {
        "type": "application",
        "bom-ref": reference(released.key),
        "name": released.name,
        "version": released.version,
        "description": released.description,
        "licenses": [{"expression": released.licence}],
        "purl": f"pkg:generic/{released.name}@{released.version}",
        "hashes": [{"alg": "SHA-256", "content": build["sha256"]}],
        "properties": [
            {"name": f"headwater:{name}", "value": build[name]}
            for name in ("commit", "target", "rustc", "cc", "glibc_needed")
        ],
    }


def standard_library(build):
    """Linked as every crate is, but in no lock file; scanners know it by its CPE."""
    version = build["rustc"].split()[1]
    return {
        "type": "library",
        "bom-ref": f"rust-std@{version}",
        "name": "rust-std",
        "version": version,
        "cpe": f"cpe:2.3:a:rust-lang:rust:{version}:*:*:*:*:*:*:*",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
        "scope": "required",
    }


def component(crate):
    described = {
        "type": "library",
        "bom-ref": reference(crate.key),
        "name": crate.name,
        "version": crate.version,
        "purl": reference(crate.key),
        "licenses": [{"expression": crate.licence}],
        "hashes": [{"alg": "SHA-256", "content": crate.checksum}],
        "scope": "required" if crate.linked else "excluded",
    }
    if crate.description:
        described["description"] = " ".join(crate.description.split())
    if crate.repository:
        described["externalReferences"] = [{"type": "vcs", "url": crate.repository}]
    return described


def dependency(crate, build):
    needs = {reference(key) for key in crate.needs}
    if crate.linked:
        needs.add(standard_library(build)["bom-ref"])
    return {"ref": reference(crate.key), "dependsOn": sorted(needs)}


def reference(key):
    """The package URL of a crate; a version's `+` is escaped, as the rules of package URLs have it."""
    name, version = key
    return f"pkg:cargo/{name}@{quote(version, safe='.-')}"


if __name__ == "__main__":
    try:
        main()
    except crates.Refusal as refusal:
        sys.exit(f"sbom.py: {refusal}")
