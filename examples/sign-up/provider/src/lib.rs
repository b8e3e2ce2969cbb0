//! A mail service to try things with. It sends nothing: it keeps what it is given, and
//! fails as it is told to.
//!
//! - `POST /send` takes `{"to": …, "template": …}`. It heeds `Idempotency-Key`: a key
//!   that it knows gets the answer of the first time, and no second mail.
//! - `GET /mails` lists what it has taken, with the keys and how often each was asked
//!   for.
//! - `POST /behave` takes a [`Behaviour`]: `"well"`, `"fail"`, `"hang"`, `"twice"` or
//!   `{"badly": {"share": 0.3}}`.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{future, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{runtime, sync::oneshot};

/// How the provider treats those who ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// It takes mails and says so.
    #[default]
    Well,
    /// It takes nothing: 503.
    Fail,
    /// It does not answer.
    Hang,
    /// It takes a mail but the connection breaks before it has said so: it is asked a
    /// second time, and answers then.
    Twice,
    /// That share of the calls fails: with 503, with a broken connection before or after
    /// the mail is taken, or they are answered late.
    Badly {
        /// From 0 to 1.
        share: f64,
    },
}

/// A mail that was taken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mail {
    /// To whom.
    pub to: Value,
    /// What it says.
    pub template: Value,
    /// How often it was asked for.
    pub asked: u32,
}

/// What the provider has seen.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Seen {
    /// How many calls came in all.
    pub calls: u64,
    /// What was taken, by idempotency key.
    pub mails: BTreeMap<String, Mail>,
    /// The `Authorization` headers of all calls.
    #[serde(skip)]
    pub authorizations: Vec<String>,
}

/// A running provider. Dropping it ends it.
pub struct Provider {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
}

#[derive(Default)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    seen: Mutex<Seen>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Provider {
    /// Starts one on a free port of this machine.
    ///
    /// # Errors
    /// If there is none.
    pub fn start() -> io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts one at an address.
    ///
    /// # Errors
    /// If the address is taken.
    pub fn start_at(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let router = Router::new()
            .route("/send", post(send))
            .route("/mails", get(mails))
            .route("/behave", post(behave))
            .with_state(Arc::clone(&shared));
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                tokio::select! {
                    // Ends with an error only if the listener does.
                    _ = axum::serve(listener, router) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, shared, stop: Some(stop) })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes how it treats those who ask.
    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.shared.behaviour) = behaviour;
    }

    /// What it has seen.
    pub fn seen(&self) -> Seen {
        lock(&self.shared.seen).clone()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended already.
            let _ = stop.send(());
        }
    }
}

/// What becomes of one call.
enum Fate {
    Answered,
    Declined,
    Late,
    /// The connection breaks; whether the mail is taken before.
    Broken {
        taken: bool,
    },
    Never,
}

fn fate(behaviour: Behaviour, is_known: bool) -> Fate {
    match behaviour {
        Behaviour::Well => Fate::Answered,
        Behaviour::Fail => Fate::Declined,
        Behaviour::Hang => Fate::Never,
        Behaviour::Twice if is_known => Fate::Answered,
        Behaviour::Twice => Fate::Broken { taken: true },
        Behaviour::Badly { share } if fastrand::f64() < share => match fastrand::u8(0..4) {
            0 => Fate::Declined,
            1 => Fate::Broken { taken: false },
            2 => Fate::Broken { taken: true },
            _ => Fate::Late,
        },
        Behaviour::Badly { .. } => Fate::Answered,
    }
}

async fn send(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(mail) = serde_json::from_slice::<Value>(&body) else {
        return (StatusCode::BAD_REQUEST, "a mail is JSON\n").into_response();
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let Some(key) = header("idempotency-key") else {
        return (StatusCode::BAD_REQUEST, "an Idempotency-Key is missing\n").into_response();
    };
    let fate = {
        let mut seen = lock(&shared.seen);
        seen.calls += 1;
        seen.authorizations.extend(header("authorization"));
        let fate = fate(*lock(&shared.behaviour), seen.mails.contains_key(&key));
        if matches!(fate, Fate::Answered | Fate::Late | Fate::Broken { taken: true }) {
            let mail = || Mail { to: mail["to"].clone(), template: mail["template"].clone(), asked: 0 };
            seen.mails.entry(key.clone()).or_insert_with(mail).asked += 1;
        }
        fate
    };
    match fate {
        Fate::Answered => {}
        Fate::Late => tokio::time::sleep(Duration::from_millis(200)).await,
        Fate::Declined => return (StatusCode::SERVICE_UNAVAILABLE, "out of order\n").into_response(),
        Fate::Never => std::future::pending().await,
        Fate::Broken { .. } => {
            // An answer whose body breaks off takes the connection along.
            let broken = io::Error::new(io::ErrorKind::ConnectionReset, "broken");
            let body = Body::from_stream(stream::once(future::ready(Err::<Bytes, _>(broken))));
            return (StatusCode::ACCEPTED, body).into_response();
        }
    }
    (StatusCode::ACCEPTED, Json(json!({ "accepted": key }))).into_response()
}

async fn mails(State(shared): State<Arc<Shared>>) -> Json<Seen> {
    Json(lock(&shared.seen).clone())
}

async fn behave(State(shared): State<Arc<Shared>>, Json(behaviour): Json<Behaviour>) -> Json<Behaviour> {
    *lock(&shared.behaviour) = behaviour;
    Json(behaviour)
}
