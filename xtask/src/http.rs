//! Requests to a server on this machine, JSON back. A whole HTTP library
//! would take longer to compile than all the rest of this crate.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Asks for a path and gives the JSON of a successful answer.
pub(crate) fn get(address: &str, path: &str) -> Result<Value> {
    let (status, body) = exchange(address, &format!("GET {path} HTTP/1.0\r\n"), b"")?;
    if !(200..300).contains(&status) {
        bail!("GET {path} answered {status}: {}", String::from_utf8_lossy(&body));
    }
    serde_json::from_slice(&body).with_context(|| format!("GET {path} answered no JSON"))
}

/// Posts JSON and gives the status and the JSON of the answer, whatever it is.
pub(crate) fn post(address: &str, path: &str, body: &Value) -> Result<(u16, Value)> {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    let (status, answer) = exchange(address, &head, body.as_bytes())?;
    Ok((status, serde_json::from_slice(&answer).unwrap_or_default()))
}

/// Sends a request without its last headers, and gives status and body of the answer.
fn exchange(address: &str, head: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    // HTTP/1.0: the server answers in one piece and closes.
    write!(stream, "{head}Host: {address}\r\nAccept: application/json\r\n\r\n")?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("no HTTP answer")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok((status.context("no HTTP answer")?, answer.split_off(end + 4)))
}
