#!/usr/bin/env python3
"""checkov_skips.py CONFIG REPORT: compares the skip list of CONFIG with REPORT, which checkov made without it.

An entry that nothing needs any more is refused: it would hide the next weakness of its kind. Never judges a reason; it
only asks that each entry has one, on its line or above it. Runs in checkov's environment, which has YAML.
"""

import json
import re
import sys

import yaml


def unexplained(text):
    """The entries without a comment on their line or right above them."""
    above = ""
    for line in text.splitlines():
        entry = re.fullmatch(r"\s*- (CKV2?_\w+)\s*(#.*)?", line)
        if entry and not entry[2] and not above.lstrip().startswith("#"):
            yield entry[1]
        above = line


def main(config_path, report_path):
    with open(config_path, encoding="utf-8") as file:
        text = file.read()
    with open(report_path, encoding="utf-8") as file:
        report = json.load(file)
    listed = set(yaml.safe_load(text).get("skip-check") or [])
    found = {check["check_id"] for check in report["results"]["failed_checks"]}
    inline = [f"{check['resource']}: {check['check_id']}" for check in report["results"]["skipped_checks"]]

    problems = [f"{check}: skipped, and nothing needs it any more" for check in sorted(listed - found)]
    problems += [f"{check}: skipped without a reason" for check in unexplained(text)]
    problems += [f"{check}: skipped in its file, where nobody can see whether it is still needed" for check in inline]
    if problems:
        sys.exit("\n".join([f"{config_path}:", *problems]))
    passed = report["summary"]["passed"]
    print(f"checkov {report['summary']['checkov_version']}: {passed} checks passed, {len(listed)} skipped with a reason each")


if __name__ == "__main__":
    main(*sys.argv[1:])
