//! HTTP, with every answer kept whole, whatever its status.

use std::{
    io::{BufRead, BufReader},
    time::Duration,
};

use serde_json::Value;
use ureq::{Agent, http::Request};

/// A server's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in the answer {self:#?}"),
        }
    }

    /// The body as JSON; the status must be 2xx.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:#?}");
        self.json()
    }

    /// The problem document that an error with this status must have.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:#?}");
        let media_type = self.header("content-type").unwrap_or_default();
        assert!(media_type.starts_with("application/problem+json"), "{self:#?}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{self:#?}");
        for field in ["type", "title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "no {field}: {self:#?}");
        }
        no_debug_dump(&self.body);
        problem
    }
}

/// People read errors; `Some("x")` or `Foo { bar: 1 }` in one is a fault.
#[track_caller]
fn no_debug_dump(text: &str) {
    for sign in ["Some(", "None,", "Err(", "Ok(", " { ", "::", "panicked at", ".rs:"] {
        assert!(!text.contains(sign), "a Rust debug dump (\"{sign}\") in: {text}");
    }
}

/// Asks one server. Keeps connections open.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    url: String,
}

impl Client {
    /// For the server at this URL.
    pub fn new(url: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(120)))
            .build();
        Self { agent: config.into(), url: url.trim_end_matches('/').to_owned() }
    }

    /// The server's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request; an error only if there is no answer at all.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = match method {
            "GET" | "HEAD" => self.agent.run(request.body(())?)?,
            _ => self.agent.run(request.body(body)?)?,
        };
        let headers = response.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
        let headers = headers.collect();
        let body = response.body_mut().with_config().limit(1 << 30).read_to_string()?;
        Ok(Answer { status: response.status().as_u16(), headers, body })
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// GET with request headers.
    #[track_caller]
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        match self.send("GET", path, headers, &[]) {
            Ok(answer) => answer,
            Err(error) => panic!("GET {path}: {error}"),
        }
    }

    /// POST of some media type.
    #[track_caller]
    pub fn post(&self, path: &str, media_type: &str, body: impl AsRef<[u8]>) -> Answer {
        match self.send("POST", path, &[("content-type", media_type)], body.as_ref()) {
            Ok(answer) => answer,
            Err(error) => panic!("POST {path}: {error}"),
        }
    }

    /// Appends CloudEvents as a batch; gives the position to wait for.
    #[track_caller]
    pub fn append(&self, events: &[Value]) -> u64 {
        let body = Value::from(events.to_vec()).to_string();
        let answer = self.post("/events", "application/cloudevents-batch+json", body).ok();
        answer["position"].as_u64().expect("an append answers with a position")
    }

    /// Follows an endless answer: its lines, as they come.
    #[track_caller]
    pub fn follow(&self, path: &str, accept: &str) -> impl Iterator<Item = String> + use<> {
        let request = Request::builder().uri(format!("{}{path}", self.url)).header("accept", accept).body(());
        let response = self.agent.run(request.expect("a valid request")).expect("an answer");
        assert_eq!(response.status(), 200, "GET {path}");
        BufReader::new(response.into_body().into_reader()).lines().map_while(Result::ok)
    }
}
