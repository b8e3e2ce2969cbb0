//! Who may ask a server that listens on this machine only.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use super::*;

/// Sends a request as a browser would word it; the status and the body.
fn ask(server: &Server, method: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let address = server.url().trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).unwrap();
    let body = event(1);
    let path = if method == "POST" { "/events" } else { "/healthz" };
    let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if method == "POST" {
        request +=
            &format!("content-type: application/cloudevents+json\r\ncontent-length: {}\r\n", body.len());
        request += &format!("\r\n{body}");
    } else {
        request += "\r\n";
    }
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

#[test]
fn only_names_of_this_machine_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--log", "off"]);
    for host in [
        "127.0.0.1:8080",
        "127.0.0.1",
        "127.1.2.3:1",
        "localhost:8080",
        "LocalHost",
        "localhost.:80",
        "shop.localhost:8080",
        "[::1]:8080",
        "[::1]",
        "[::ffff:127.0.0.1]:80",
    ] {
        assert_eq!(ask(&server, "GET", &[("host", host)]).0, 200, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "10.0.0.1:8080",
        "[fe80::1]:80",
        "",
        "127.0.0.1@x",
    ] {
        let (status, answer) = ask(&server, "GET", &[("host", host)]);
        assert_eq!(status, 403, "{host}: {answer}");
        assert!(answer.contains("application/problem+json"), "{host}: {answer}");
        for part in ["/problems/foreign-host", "localhost", "--allow-unprotected-network"] {
            assert!(answer.contains(part), "{host}: no {part} in {answer}");
        }
    }
    let twice = [("host", "localhost"), ("host", "evil.example")];
    assert_ne!(ask(&server, "GET", &twice).0, 200);
}

#[test]
fn pages_of_other_sites_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--log", "off"]);
    let post = |origin: &str| ask(&server, "POST", &[("host", "localhost:1"), ("origin", origin)]);
    for origin in
        ["https://evil.example", "http://localhost.evil.example", "null", "file://", "", "http://10.0.0.1:80"]
    {
        let (status, answer) = post(origin);
        assert_eq!(status, 403, "{origin}: {answer}");
        assert!(answer.contains("/problems/foreign-origin"), "{origin}: {answer}");
    }
    assert_eq!(succeeded(folder.path(), &["export"]), "");
    for origin in ["http://localhost:3000", "http://127.0.0.1:8080", "https://[::1]:8080"] {
        assert!([200, 201].contains(&post(origin).0), "{origin}");
    }
    // Reading is up to the browser: without leave it shows the answer to no page of another site.
    let read = ask(&server, "GET", &[("host", "localhost"), ("origin", "https://evil.example")]);
    assert_eq!(read.0, 200);
}

#[test]
fn whoever_accepts_the_risk_is_asked_by_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--log", "off", "--allow-unprotected-network"]);
    assert_eq!(ask(&server, "GET", &[("host", "evil.example")]).0, 200);
    let post = [("host", "shop.example"), ("origin", "https://shop.example")];
    assert_eq!(ask(&server, "POST", &post).0, 201);
}
