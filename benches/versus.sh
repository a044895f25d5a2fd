#!/bin/sh
# Headwater against nginx on this machine; see benches/versus/main.rs for the options. Installs nothing.
cd "$(dirname "$0")/.." && exec cargo bench --bench versus -- "$@"
