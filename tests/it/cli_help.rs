//! Help texts, completions and manual pages: what a newcomer sees first.

use crate::cli_sandbox::Sandbox;

const COMMANDS: [&str; 22] = [
    "init",
    "publish",
    "promote",
    "rollback",
    "invalidate",
    "releases",
    "show",
    "channels",
    "verify",
    "retire",
    "prune",
    "serve",
    "edge",
    "get",
    "simulate",
    "loadtest",
    "config",
    "config check",
    "config show",
    "demo",
    "completions",
    "man",
];

/// Holds a text to its snapshot; the version is the one thing in it that may change unseen.
fn snapshot(name: &str, text: &str) {
    insta::assert_snapshot!(name, text.replace(env!("CARGO_PKG_VERSION"), "[version]"));
}

#[test]
fn every_command_explains_itself_with_examples_in_100_columns() {
    let sandbox = Sandbox::new();
    for command in COMMANDS {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push("--help");
        let help = sandbox.done(&arguments);
        assert!(
            help.contains(&format!("\n  headwater {command}")),
            "no example in {command}"
        );
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
        snapshot(&command.replace(' ', "_"), &help);
    }
}

#[test]
fn the_first_page_lists_every_command() {
    let sandbox = Sandbox::new();
    let help = sandbox.done(&["--help"]);
    for command in COMMANDS.iter().filter(|command| !command.contains(' ')) {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
    }
    snapshot("headwater", &help);
}

#[test]
fn without_a_command_the_help_is_an_error() {
    let ran = Sandbox::new().run(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("Usage: headwater"), "{}", ran.stderr);
}

#[test]
fn completions_for_every_shell_know_every_command() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sandbox.done(&["completions", shell]);
        for command in COMMANDS {
            let word = command.split(' ').next_back().unwrap();
            assert!(script.contains(word), "{shell}: {command}");
        }
    }
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let sandbox = Sandbox::new();
    assert!(sandbox.done(&["man"]).contains(".TH headwater 1"));
    assert_eq!(sandbox.done(&["man", "share/man1"]), "");
    for command in COMMANDS {
        let name = format!("share/man1/headwater-{}.1", command.replace(' ', "-"));
        let page = std::fs::read_to_string(sandbox.path().join(&name)).unwrap();
        assert!(page.contains("Examples:"), "{name}");
    }
}
