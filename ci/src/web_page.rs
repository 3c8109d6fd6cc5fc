//! The page of the wasm module in a browser without a window.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use relfisher_ci::repository::{command, output, root};

/// The page and its scripts.
const FOLDER: &str = "core/capi/wasm";

/// What the page shows with this module, or nothing where no Chromium is installed.
pub(crate) fn open(module: &str) -> Result<Option<String>, String> {
    let browser = "chromium";
    if output(command(browser, &["--version"])).is_err() {
        return Ok(None);
    }
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("a port: {e}"))?;
    let port = listener.local_addr().map_err(|e| format!("a port: {e}"))?.port();
    let module = module.to_owned();
    // It ends with this program: the browser says when it has what it needs.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A request that breaks off is the browser's affair.
            let _ = answer(stream, Path::new(&module));
        }
    });
    let flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=30000"];
    let page = format!("http://127.0.0.1:{port}/");
    let dom = output(command(browser, &[flags.as_slice(), &["--dump-dom", &page]].concat()))?;
    let shown = dom
        .split_once("<pre id=\"out\">")
        .and_then(|(_, rest)| rest.split_once("</pre>"))
        .ok_or_else(|| format!("{FOLDER}/index.html has no place for its lines:\n{dom}"))?;
    if shown.0.is_empty() {
        return Err(format!("{FOLDER}/index.html shows no line:\n{dom}"));
    }
    Ok(Some(format!("{}\n", shown.0)))
}

/// Sends the file that a request names.
fn answer(mut stream: TcpStream, module: &Path) -> std::io::Result<()> {
    let mut request = BufReader::new(stream.try_clone()?).lines();
    let first = request.next().transpose()?.unwrap_or_default();
    // The rest of the head, or a browser sees its connection broken.
    for line in request {
        if line?.is_empty() {
            break;
        }
    }
    let (path, kind) = match first.split(' ').nth(1) {
        Some("/") => (root().join(FOLDER).join("index.html"), "text/html"),
        Some("/relfisher.wasm") => (module.to_path_buf(), "application/wasm"),
        Some(script) if script.ends_with(".mjs") => {
            (root().join(FOLDER).join(script.trim_start_matches('/')), "text/javascript")
        }
        _ => return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    };
    let body = fs::read(path)?;
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    stream.write_all(&body)
}
