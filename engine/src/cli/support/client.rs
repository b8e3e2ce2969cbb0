//! HTTP to a running server, and its problems as our errors.

use std::{fmt, path::PathBuf, time::Duration};

use anyhow::Context as _;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::presence;
use crate::{
    cli::{
        exit::{Exit, Failure},
        settings::Settings,
    },
    client,
};

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

const PROXY_LIMIT: &str =
    "a proxy before the server takes no requests of this size; raise its limit on request bodies";

/// Which server, or which data folder.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Place {
    /// The server to talk to [default: the one that serves the data folder]
    #[arg(long, env = "PROJECTIONIST_URL")]
    pub url: Option<String>,
    /// The data folder, where no server is named [default: data]
    #[arg(long, env = "PROJECTIONIST_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl Place {
    /// The data folder.
    pub fn folder(&self, settings: &Settings) -> PathBuf {
        settings.data(self.data.clone())
    }

    /// The server that was named, or else the one that works on the data
    /// folder. A folder on the command line counts more than a server in the
    /// settings file.
    pub fn server(&self, settings: &Settings) -> Result<Option<Client>, Failure> {
        let named = self.url.as_ref().or(if self.data.is_none() { settings.url.as_ref() } else { None });
        match named {
            Some(url) => Client::new(url).map(Some),
            None => presence::find(&self.folder(settings)).map(|server| Client::new(&server.url)).transpose(),
        }
    }

    /// The same, where nothing can be done without one.
    pub fn required_server(&self, settings: &Settings) -> Result<Client, Failure> {
        self.server(settings)?.ok_or_else(|| {
            let folder = self.folder(settings);
            Failure::new(
                Exit::Unreachable,
                format!("no server works on the data folder {}", folder.display()),
            )
            .hint("start one with `projectionist serve`, or name one with --url http://…")
        })
    }
}

/// A server to talk to.
pub struct Client {
    base: Url,
    http: reqwest::Client,
}

impl Client {
    /// A client for the server at a URL.
    pub fn new(url: &str) -> Result<Self, Failure> {
        let wrong = |reason: &str| {
            Failure::new(Exit::Usage, format!("\"{url}\" is no URL of a server: {reason}"))
                .hint("write it like http://127.0.0.1:8080")
        };
        let base = Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
        if base.scheme() != "http" {
            return Err(wrong("it does not begin with http://"));
        }
        let http = client::builder().connect_timeout(CONNECT).build();
        let http = http.map_err(|error| Failure::new(Exit::Failed, cause(&error)))?;
        Ok(Self { base, http })
    }

    /// The server's URL.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// A request for the resource at a path, whose segments are not encoded.
    pub fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        self.http.request(method, url)
    }

    /// A request to read.
    pub fn get(&self, path: &[&str]) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// Sends a request; an answer that is a problem becomes an error.
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(self.problem(status, response).await),
        }
    }

    /// Sends a request whose answer is JSON.
    pub async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let response = self.send(request).await?;
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).with_context(|| {
            format!("{} answers what this program does not understand; are both of one version?", self.url())
        })
    }

    /// The error for a connection that failed.
    pub fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::new(Exit::Unreachable, format!("no answer from {}: {}", self.url(), cause(error)))
            .hint("is the server running? `projectionist serve` starts one")
    }

    async fn problem(&self, status: StatusCode, response: Response) -> anyhow::Error {
        let is_problem = response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/problem+json"));
        let body = response.bytes().await.unwrap_or_default();
        match serde_json::from_slice::<Value>(&body) {
            Ok(document) if is_problem => Problem { status, document }.into(),
            // The server says so itself; this is somebody on the way to it.
            _ if status == StatusCode::PAYLOAD_TOO_LARGE => {
                Problem { status, document: json!({"title": PROXY_LIMIT}) }.into()
            }
            _ => Failure::new(
                Exit::Failed,
                format!("{} answers {status}, which no Projectionist would", self.url()),
            )
            .hint("is it the right URL?")
            .into(),
        }
    }
}

/// What a server answered instead of what was asked for.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    document: Value,
}

impl Problem {
    /// How a command ends that meets it.
    pub fn exit(&self) -> Exit {
        match self.status.as_u16() {
            404 | 410 => Exit::NotFound,
            400..500 => Exit::Input,
            503 | 504 => Exit::Unavailable,
            _ => Exit::Failed,
        }
    }

    /// Whether the request was larger than the server takes.
    pub fn is_too_large(&self) -> bool {
        self.status == StatusCode::PAYLOAD_TOO_LARGE
    }

    /// Which event of a batch is at fault, from 0.
    pub fn event(&self) -> Option<usize> {
        self.number("event")
    }

    /// A field that is a number, or not there.
    pub fn number(&self, field: &str) -> Option<usize> {
        self.document.get(field)?.as_u64()?.try_into().ok()
    }

    /// A field that is text; empty if it is not there.
    pub fn text(&self, field: &str) -> &str {
        self.document.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.text("title").trim_end_matches('.'), self.text("detail")) {
            ("", "") => write!(f, "the server answers {}", self.status),
            (title, "") => f.write_str(title),
            (title, detail) => write!(f, "{title}: {detail}"),
        }
    }
}

impl std::error::Error for Problem {}

/// The innermost reason of a failed request (`Connection refused`), without
/// the layers around it.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded() {
        let client = Client::new("http://localhost:80/base/").unwrap();
        let request = client.get(&["projections", "a b", "tables", "t", "src/ü.rs"]).build().unwrap();
        assert_eq!(request.url().path(), "/base/projections/a%20b/tables/t/src%2F%C3%BC.rs");
        assert_eq!(Client::new("localhost:8080").err().map(|failure| failure.exit), Some(Exit::Usage));
        assert!(Client::new("https://localhost").is_err());
    }

    #[test]
    fn problems_read_as_sentences() {
        let document = json!({"title": "There is no projection of this name.", "detail": "known are: churn"});
        let problem = Problem { status: StatusCode::NOT_FOUND, document };
        assert_eq!(problem.to_string(), "There is no projection of this name: known are: churn");
        assert_eq!((problem.exit(), problem.event()), (Exit::NotFound, None));
        let problem = Problem { status: StatusCode::SERVICE_UNAVAILABLE, document: json!({"title": "X"}) };
        assert_eq!((problem.exit(), problem.to_string().as_str()), (Exit::Unavailable, "X"));
    }

    #[tokio::test]
    async fn nobody_there() {
        let client = Client::new("http://127.0.0.1:1").unwrap();
        let error = client.send(client.get(&["healthz"])).await.unwrap_err();
        assert_eq!(error.downcast_ref::<Failure>().map(|failure| failure.exit), Some(Exit::Unreachable));
    }

    #[test]
    fn a_folder_on_the_command_line_counts_more_than_a_server_in_the_file() {
        let settings = Settings { url: Some("http://127.0.0.1:5".into()), ..Settings::default() };
        let place = Place::default();
        assert_eq!(place.server(&settings).unwrap().unwrap().url(), "http://127.0.0.1:5");
        let place = Place { data: Some("/nowhere".into()), ..Place::default() };
        assert!(place.server(&settings).unwrap().is_none());
        assert_eq!(place.required_server(&settings).err().unwrap().exit, Exit::Unreachable);
    }
}
