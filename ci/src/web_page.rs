//! The page of the wasm module in a browser without a window.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use relfisher_ci::repository::{command, output, root};

use crate::capi;

/// The page and its scripts.
const FOLDER: &str = "core/capi/wasm";
/// What the page waits for before it sends its lines: they are complete when its state changes, however
/// slow the machine is. (Chromium's `--dump-dom` takes the page at a time of its own, and under load
/// that was before the module was compiled.)
const REPORT: &str = r#"<script type="module">
const element = document.getElementById("state");
const loading = element.textContent;
while (element.textContent === loading) await new Promise((next) => setTimeout(next, 20));
const lines = document.getElementById("out").textContent;
await fetch("/shown", { method: "POST", body: lines === "" ? `\n${element.textContent}` : lines });
</script>
"#;
/// A browser that has shown nothing by then is not going to.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the page shows with this module, or nothing where no Chromium is installed.
pub(crate) fn open(module: &str) -> Result<Option<String>, String> {
    let browser = "chromium";
    if output(command(browser, &["--version"])).is_err() {
        return Ok(None);
    }
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("a port: {e}"))?;
    let port = listener.local_addr().map_err(|e| format!("a port: {e}"))?.port();
    let module = module.to_owned();
    let (sender, shown) = mpsc::channel();
    // It ends with this program; a browser that opens a second connection early must not block the first.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (module, sender) = (module.clone(), sender.clone());
            // A request that breaks off is the browser's affair.
            thread::spawn(move || answer(stream, Path::new(&module), &sender));
        }
    });
    let profile = capi::target().join("chromium");
    fs::create_dir_all(&profile).map_err(|e| format!("{}: {e}", profile.display()))?;
    let said = profile.join("said.txt");
    let log = File::create(&said).map_err(|e| format!("{}: {e}", said.display()))?;
    let flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
    let own =
        [format!("--user-data-dir={}", profile.display()), format!("http://127.0.0.1:{port}/")];
    let mut open = command(browser, &flags);
    open.args(&own).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut browser = open.spawn().map_err(|e| format!("{browser}: {e}"))?;
    let lines = wait(&mut browser, &shown);
    // It may have ended already.
    let _ = browser.kill();
    let _ = browser.wait();
    match lines {
        Ok(lines) if lines.starts_with('\n') => {
            Err(format!("{FOLDER}/index.html shows no line: {}", lines.trim()))
        }
        Ok(lines) => Ok(Some(format!("{lines}\n"))),
        Err(reason) => {
            let said = fs::read_to_string(&said).unwrap_or_default();
            Err(format!("{FOLDER}/index.html in chromium: {reason}; it said:\n{said}"))
        }
    }
}

/// The lines, unless the browser ends before or takes too long.
fn wait(browser: &mut Child, shown: &mpsc::Receiver<String>) -> Result<String, String> {
    let until = Instant::now() + PATIENCE;
    loop {
        match shown.recv_timeout(Duration::from_millis(200)) {
            Ok(lines) => return Ok(lines),
            Err(RecvTimeoutError::Disconnected) => return Err("no connection is taken".to_owned()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Ok(Some(status)) = browser.try_wait() {
            return Err(format!("it ended with {status} before the page was done"));
        }
        if Instant::now() > until {
            return Err(format!("the page was not done after {} s", PATIENCE.as_secs()));
        }
    }
}

/// Sends the file that a request names, or passes on what the page sends.
fn answer(mut stream: TcpStream, module: &Path, shown: &Sender<String>) -> io::Result<()> {
    let mut request = BufReader::new(stream.try_clone()?);
    let mut head = Vec::new();
    // The whole head, or a browser sees its connection broken.
    for line in request.by_ref().lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let path = head.first().and_then(|first| first.split(' ').nth(1)).unwrap_or_default();
    let (body, kind) = match path {
        "/" => {
            let page = fs::read_to_string(root().join(FOLDER).join("index.html"))?;
            (page.replace("</html>", &format!("{REPORT}</html>")).into_bytes(), "text/html")
        }
        "/relfisher.wasm" => (fs::read(module)?, "application/wasm"),
        "/shown" => {
            let length = head.iter().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            let mut lines = String::new();
            request.take(length.unwrap_or(0)).read_to_string(&mut lines)?;
            // The other end is gone once it has given up.
            let _ = shown.send(lines);
            (Vec::new(), "text/plain")
        }
        script if script.ends_with(".mjs") => {
            (fs::read(root().join(FOLDER).join(script.trim_start_matches('/')))?, "text/javascript")
        }
        _ => return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    stream.write_all(&body)
}
