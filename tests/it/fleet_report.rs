//! The report in a real browser: it needs nothing but itself, fits a desk and a phone, and says nothing on the console.
//!
//! Never trusts a screenshot: a probe that is added to a copy of the page measures every element and tells the frame around
//! it what it found, which the browser then prints.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::cli_sandbox::{Sandbox, wait};

/// One report for all tests here: of few devices, but with every table and plot.
fn report() -> &'static str {
    static REPORT: OnceLock<String> = OnceLock::new();
    REPORT.get_or_init(|| {
        let sandbox = Sandbox::new();
        sandbox.done(&["simulate", "--devices", "2000", "--report", "r.html"]);
        std::fs::read_to_string(sandbox.path().join("r.html")).unwrap()
    })
}

/// Runs before the page's own content: catches what would go to the console.
const WATCH: &str = "<script>
window.complaints = [];
for (const name of ['error', 'warn']) console[name] = (...all) => window.complaints.push(all.join(' '));
addEventListener('error', event => window.complaints.push(event.message || event.target.outerHTML), true);
addEventListener('unhandledrejection', event => window.complaints.push(String(event.reason)));
</script>";

/// Runs after it: measures every element that is shown, except inside what scrolls by itself.
const PROBE: &str = "<script>
addEventListener('load', () => {
  const seen = [...document.querySelectorAll('main *')].filter(one => one.getClientRects().length);
  const wide = seen.filter(one => !one.closest('.scroll *') && !one.closest('svg *'))
    .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5 || one.getBoundingClientRect().left < -0.5);
  const cut = seen.filter(one => one.matches('svg text')).filter(one => {
    const [text, svg] = [one.getBoundingClientRect(), one.closest('svg').getBoundingClientRect()];
    return text.right > svg.right + 1 || text.left < svg.left - 1 || text.bottom > svg.bottom + 1;
  });
  const small = seen.filter(one => one.matches('svg text')).filter(one => one.getBoundingClientRect().height < 11);
  const found = {
    width: innerWidth,
    page: document.documentElement.scrollWidth,
    plots: seen.filter(one => one.matches('svg')).length,
    elements: seen.length,
    wide: wide.map(one => one.tagName + '.' + one.className), cut: cut.map(one => one.textContent),
    small: small.map(one => one.textContent), complaints: window.complaints,
  };
  parent.postMessage(JSON.stringify(found), '*');
});
</script>";

/// Holds the page in a frame of an exact size, because a window has a least width, and writes down what it tells.
fn frame(width: u32, height: u32) -> String {
    format!(
        "<body><iframe src=\"probed.html\" style=\"border:0;width:{width}px;height:{height}px\"></iframe><pre \
         id=\"found\"></pre><script>addEventListener('message', event => \
         document.getElementById('found').textContent = event.data)</script></body>"
    )
}

/// What the probe found in a window of this size.
fn measured(page: &str, width: u32, height: u32) -> serde_json::Value {
    let sandbox = Sandbox::new();
    let page = page.replacen("<head>", &format!("<head>{WATCH}"), 1);
    let page = page.replacen("</body>", &format!("{PROBE}</body>"), 1);
    sandbox.write("probed.html", page);
    let path = sandbox.write("frame.html", frame(width, height));
    let printed = browser(sandbox.path(), &path, &["--dump-dom"]);
    let found = printed.split("<pre id=\"found\">").nth(1);
    let found = found.unwrap_or_else(|| panic!("the probe did not run: {printed:.2000}"));
    let found = found.split("</pre>").next().unwrap();
    assert!(!found.is_empty(), "the probe told nothing: {printed}");
    serde_json::from_str(
        &found
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
    .unwrap()
}

/// Runs headless Chromium on a file, with no network to speak of, and returns what it printed.
fn browser(folder: &Path, page: &Path, flags: &[&str]) -> String {
    let output = std::fs::File::create(folder.join("printed")).unwrap();
    let mut child = Command::new("chromium")
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--no-first-run",
            "--disable-extensions",
            "--virtual-time-budget=5000",
            "--hide-scrollbars",
        ])
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .args(flags)
        .arg(format!("file://{}", page.display()))
        .env("HOME", folder)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("chromium (see tests/setup/packages.txt): {error}"));
    let status = wait(&mut child);
    assert!(status.success(), "chromium: {status}");
    std::fs::read_to_string(folder.join("printed")).unwrap()
}

#[test]
fn it_fits_a_desk_and_a_phone_and_the_console_stays_empty() {
    for (width, height) in [(1280, 900), (390, 844)] {
        let found = measured(report(), width, height);
        assert_eq!(
            found["width"], width,
            "the browser took another width: {found}"
        );
        assert_eq!(found["page"], width, "scrolls sideways: {found}");
        assert_eq!(found["plots"], 6, "one drawing of each plot: {found}");
        assert!(found["elements"].as_u64().unwrap() > 300, "{found}");
        for list in ["wide", "cut", "small", "complaints"] {
            assert_eq!(
                found[list],
                serde_json::json!([]),
                "{list} at {width}: {found}"
            );
        }
    }
}

#[test]
fn the_probe_finds_what_is_wrong_with_a_page() {
    let wrong = "<html><head><meta name=\"viewport\" content=\"width=device-width\"/></head><body style=\"margin:0\"><main>\
                 <p style=\"width:2000px\">wide</p><svg width=\"100\" height=\"20\"><text x=\"90\" y=\"10\" \
                 font-size=\"5\">cut and small</text></svg><img src=\"missing.png\"/><script>console.error('oh')</script>\
                 </main></body></html>";
    let found = measured(wrong, 390, 844);
    assert_eq!(found["wide"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["cut"], serde_json::json!(["cut and small"]));
    assert_eq!(found["small"], serde_json::json!(["cut and small"]));
    assert_eq!(found["complaints"].as_array().unwrap().len(), 2, "{found}");
}

/// Anything that would make a browser load something.
fn references(page: &str) -> Vec<&str> {
    let without_names = ["xmlns=\"http://www.w3.org/2000/svg\""];
    let mut found = Vec::new();
    for line in page.lines() {
        let bare = without_names
            .iter()
            .fold(line.to_owned(), |line, name| line.replace(name, ""));
        let loads = [
            "http://", "https://", "src=", "href=", "url(", "@import", "<script", "<link",
            "<iframe",
        ];
        if loads.iter().any(|load| bare.contains(load)) {
            found.push(line);
        }
    }
    found
}

#[test]
fn it_refers_to_nothing_outside_itself() {
    assert_eq!(references(report()), [""; 0]);
    assert_eq!(references("<img src=\"x\"/>").len(), 1);
    assert_eq!(references("a { background: url(x) }").len(), 1);
}

/// Every element is closed in its order, and every plot has a name and a text.
#[test]
fn it_parses_strictly_and_every_plot_can_be_read_aloud() {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(report());
    let (mut plots, mut texts, mut inside) = (0, 0, Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                let name = start.name().as_ref().to_vec();
                plots += usize::from(name == b"svg");
                inside.push(name);
            }
            Event::End(_) => drop(inside.pop()),
            Event::Text(text) => {
                let parent = inside.last().map(Vec::as_slice);
                let in_plot = inside.iter().any(|name| name == b"svg");
                if in_plot && matches!(parent, Some(b"title" | b"desc")) {
                    texts += usize::from(text.len() > 10);
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(inside.is_empty(), "{inside:?}");
    assert_eq!(plots, 12, "six plots, each for desks and for phones");
    assert!(texts >= 2 * plots, "{texts} texts for {plots} plots");
}

#[test]
fn it_says_what_it_is_and_how_it_is_made_again() {
    let page = report();
    for text in [
        "not CloudFront",
        "headwater simulate --devices 2000",
        "--seed 1",
        "⚙ not published",
        "list prices of 2026-",
        "infracost",
    ] {
        assert!(page.contains(text), "no `{text}`");
    }
}

#[test]
fn the_picture_stands_alone() {
    let sandbox = Sandbox::new();
    sandbox.done(&["simulate", "--devices", "1000", "--svg", "origin.svg"]);
    let picture = std::fs::read_to_string(sandbox.path().join("origin.svg")).unwrap();
    assert!(picture.starts_with("<svg xmlns=") && picture.contains("<style>"));
    assert!(
        picture.contains("without edge") && picture.contains("b/s"),
        "legend and units"
    );
    assert_eq!(references(&picture), [""; 0]);
    let mut reader = quick_xml::Reader::from_str(&picture);
    while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
}

#[test]
fn the_same_run_writes_the_same_report_and_leaves_nothing_else() {
    let sandbox = Sandbox::new();
    let simulate = ["simulate", "--devices", "500", "--report", "r.html"];
    let read = || std::fs::read_to_string(sandbox.path().join("r.html")).unwrap();
    sandbox.write("r.html", "an old one");
    sandbox.done(&simulate);
    let first = read();
    sandbox.done(&simulate);
    assert_eq!(first, read());
    let left: Vec<_> = std::fs::read_dir(sandbox.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "r.html" && name != "tmp")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_name_from_a_scenario_cannot_become_markup() {
    let sandbox = Sandbox::new();
    let hostile = "</title><script>alert(1)</script>";
    let text = format!("name = \"{hostile}\"\ndescription = \"{hostile}\"\ndevices = 100\n");
    sandbox.write("x.toml", text);
    sandbox.done(&["simulate", "x.toml", "--report", "r.html"]);
    let page = std::fs::read_to_string(sandbox.path().join("r.html")).unwrap();
    assert!(!page.contains("<script"), "a script got in");
    assert!(page.contains("&lt;script&gt;"));
}
