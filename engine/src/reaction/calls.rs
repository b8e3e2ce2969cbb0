//! The calls that a reaction makes over HTTP while it handles an event.
//!
//! - [`Caller`]: makes the calls of a version: those that the settings allow, with its
//!   secrets, and not to hosts that fail.
//! - [`EventCalls`]: those of one event, by their numbers. What has been answered is in
//!   the journal before the reaction goes on, and is not called again.
//! - `calls/client.rs`: how a request is sent. `calls/addresses.rs`: which addresses a
//!   name may stand for.
//! - [`Script`] (`calls/script.rs`): who answers where nobody is to be called.
//! - `calls/breakers.rs`: hosts that fail are left alone for a while.
//! - `calls/journal.rs`: several calls are written with one fsync. `calls/record.rs`: what is
//!   written of one.
//! - `calls/seen.rs`: what is shown of all this.

mod addresses;
mod breakers;
mod client;
mod journal;
mod record;
mod script;
mod seen;

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response, header};
use tokio::sync::watch;

pub use self::{
    breakers::BreakerStatus,
    script::Script,
    seen::{CallsStatus, Counts, Refusal},
};
use self::{
    breakers::{Admitted, Breakers},
    client::Client,
    journal::{Journal, Written, written},
    seen::Counters,
};
use super::{isolation::Claim, reads::Tracked};
use crate::{
    clock,
    event::{Block, Position, Timestamp},
    plugin::{Http, HttpHost, Outbound, OutboundError, SecretError, SentSecrets, Settings},
    projection::Version,
    state::{Call, CallOutcome, PartitionState},
};

/// The header by which a provider knows a call that it has had before.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Makes the calls of a version.
pub(super) struct Caller {
    version: Arc<Version>,
    client: Client,
    breakers: Breakers,
    journal: Arc<Journal>,
    counters: Counters,
    /// It calls nobody: what was answered once is answered from the journal.
    muted: bool,
    /// It calls nobody: this answers.
    script: Option<Arc<dyn Script>>,
}

impl Caller {
    /// `script`: who answers in place of the network, if somebody does.
    pub(super) fn new(version: Arc<Version>, script: Option<Arc<dyn Script>>) -> Arc<Self> {
        let journal = Journal::new(version.state().partitions()[0].clone());
        Self::with(version, journal, false, script)
    }

    /// One that calls nobody, and answers from the journal of another version.
    pub(super) fn muted(version: Arc<Version>, journal: PartitionState) -> Arc<Self> {
        Self::with(version, Journal::of_another(journal), true, None)
    }

    fn with(
        version: Arc<Version>,
        journal: Journal,
        muted: bool,
        script: Option<Arc<dyn Script>>,
    ) -> Arc<Self> {
        let journal = Arc::new(journal);
        let plugin = version.plugin();
        let breakers = Breakers::new(plugin.settings().http.breaker.clone(), plugin.clock().clone());
        let (client, counters) = (Client::default(), Counters::default());
        Arc::new(Self { version, client, breakers, journal, counters, muted, script })
    }

    fn settings(&self) -> &Settings {
        self.version.plugin().settings()
    }

    fn now(&self) -> Timestamp {
        self.version.plugin().clock().now()
    }

    /// What it has done and what it does not do.
    pub(super) fn status(&self) -> CallsStatus {
        self.counters.status(self.breakers.status(self.now()))
    }
}

/// The calls of one event.
pub(super) struct EventCalls {
    caller: Arc<Caller>,
    /// It alone.
    event: Block,
    state: Arc<Tracked>,
    begun: AtomicU32,
    notes: Mutex<Notes>,
    /// Calls that are being written, and nobody waits for.
    unwaited: Mutex<Vec<Written>>,
    /// The event is handled; what is still under way is of no use to anybody. Most events
    /// lead to no call, so this is there from the first one on.
    over: OnceLock<watch::Sender<bool>>,
}

/// What the host knows of an event's calls beside what it has told the guest.
#[derive(Default)]
pub(super) struct Notes {
    /// One was not allowed.
    pub(super) refused: Option<String>,
    /// One is not the one that was made before.
    pub(super) differs: Option<String>,
    /// One was to a host that is left alone until then.
    pub(super) blocked: Option<(Timestamp, String)>,
    /// It may not call before it has begun again; how that is.
    pub(super) again: Option<Claim>,
    /// The journal could not be read or written.
    pub(super) failed: Option<String>,
}

impl EventCalls {
    /// Of the only event of a block.
    pub(super) fn new(caller: &Arc<Caller>, event: &Block, state: &Arc<Tracked>) -> Arc<Self> {
        Arc::new(Self {
            caller: Arc::clone(caller),
            event: event.clone(),
            state: Arc::clone(state),
            begun: AtomicU32::new(0),
            notes: Mutex::default(),
            unwaited: Mutex::default(),
            over: OnceLock::new(),
        })
    }

    fn position(&self) -> Position {
        self.event.first()
    }

    /// The event is handled, or has failed: it makes no more calls. When this returns, all
    /// that it has made are in the journal.
    pub(super) async fn end(&self, is_handled: bool) -> Notes {
        if let Some(over) = self.over.get() {
            over.send_replace(true);
            over.closed().await;
        }
        let unwaited = std::mem::take(&mut *self.unwaited.lock().unwrap_or_else(PoisonError::into_inner));
        for call in unwaited {
            if let Err(reason) = written(call).await {
                self.host_failed(reason);
            }
        }
        if is_handled && !self.caller.muted && self.notes().again.is_none() {
            self.look_for_fewer();
        }
        std::mem::take(&mut *self.notes())
    }

    /// Calls that were answered for this event before, and that it has not made this time,
    /// are no secret.
    fn look_for_fewer(&self) {
        let begun = self.begun.load(Ordering::Relaxed);
        let calls = match self.caller.journal.calls(self.position()) {
            Ok(calls) => calls,
            Err(error) => return drop(self.host_failed(error.to_string())),
        };
        for call in calls.iter().filter(|call| call.number > begun && call.is_answered()) {
            let (plugin, position, number) = (self.caller.version.name(), call.position, call.number);
            let reason = format!("call {number}, {} {}, was not made again", call.method, call.url);
            tracing::warn!(plugin, position, reason, "a call has changed");
            self.caller.counters.changed();
        }
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same whenever and by whichever version the event is answered; another one
    /// for each reaction, event and call.
    fn idempotency_key(&self, number: u32) -> String {
        let mut hasher = blake3::Hasher::new();
        let head = self.event.heads.first();
        // These tell an event from all others, everywhere.
        let source = head.map_or("", |head| &self.event.names[head.source as usize]);
        let id = head.map_or(&[][..], |head| self.event.slice(head.id));
        for part in [self.caller.version.name().as_bytes(), source.as_bytes(), id] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.update(&number.to_le_bytes());
        hasher.finalize().to_hex()[..32].to_owned()
    }

    async fn answer(
        &self,
        number: u32,
        request: Request<Bytes>,
        patience: Option<Duration>,
    ) -> Result<Response<Bytes>, OutboundError> {
        let Http { timeout, response_body, .. } = self.caller.settings().http;
        let journaled = self.caller.journal.call(self.position(), number);
        let journaled = journaled.map_err(|error| self.host_failed(error.to_string()))?;
        if let Some(call) = &journaled
            && let CallOutcome::Response { status, headers, body } = &call.outcome
            && (call.is_answered() || self.caller.muted)
        {
            if record::differs(call, &request) {
                return Err(self.not_the_one(record::difference(call, &request)));
            }
            self.caller.counters.replayed();
            return Ok(record::response(*status, headers, body));
        }
        if self.caller.muted {
            if let Some(Call { outcome: CallOutcome::Failed { reason }, .. }) = &journaled {
                return Err(OutboundError::NoConnection { reason: reason.clone() });
            }
            let call = format!("{} {}", request.method(), request.uri());
            return Err(self.not_the_one(format!("call {number}, {call}, has no response in the journal")));
        }
        if let Some(call) = journaled.as_ref().filter(|call| record::differs(call, &request)) {
            // It had no answer that counts, so it is made; but nobody should have to guess.
            let (plugin, reason) = (self.caller.version.name(), record::difference(call, &request));
            tracing::warn!(plugin, position = self.position(), reason, "a call has changed");
            self.caller.counters.changed();
        }
        let attempts = journaled.map_or(0, |call| call.attempts) + 1;
        let limit = patience.map_or(timeout, |patience| patience.min(timeout));
        let Prepared { sent, secrets, admitted } = self.prepare(number, &request)?;
        let host = admitted.host().to_string();
        let underway = Underway::new(self, record::cut_off((self.position(), number), &request, attempts));
        let response = match &self.caller.script {
            Some(script) => script.answer(&request, limit),
            None => self.caller.client.send(sent, limit, response_body).await,
        };
        let failure = match &response {
            Ok(response) if is_providers_fault(response.status()) => {
                Some(format!("it answers {}", response.status()))
            }
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        };
        admitted.ended(failure.as_deref());
        let response = response.map(|response| redacted(&secrets, response));
        self.caller.counters.made(response.as_ref().ok().map(Response::status));
        // Before the reaction goes on.
        let written = underway.ended(record::outcome(&response)).await;
        written.map_err(|reason| self.host_failed(reason))?;
        if let Err(OutboundError::Address { reason }) = &response {
            self.note_refusal(format!("{host} is not allowed: {reason}"));
        }
        response
    }

    /// The request as it is sent, and that the host is not left alone just now.
    fn prepare(&self, number: u32, request: &Request<Bytes>) -> Result<Prepared<'_>, OutboundError> {
        let settings = self.caller.settings();
        let allowed = settings.http.allowed(request.method(), request.uri());
        let allowed = allowed.map_err(|reason| self.refuse(reason.to_string()))?;
        let host = HttpHost::of(request.uri()).map_err(|reason| self.refuse(reason.to_owned()))?;
        let mut headers = request.headers().clone();
        let secrets = SentSecrets::fill(&settings.secrets, &mut headers, &host);
        let secrets = secrets.map_err(|error| match error {
            SecretError::Refused(reason) => self.refuse(reason),
            // It may be there again soon.
            SecretError::NoValue(reason) => OutboundError::Broken { reason },
        })?;
        // What says how the message is sent is not the guest's to say.
        for own in [header::HOST, header::CONTENT_LENGTH, header::EXPECT, header::TE, header::TRAILER] {
            headers.remove(own);
        }
        // Secrets are looked for in what comes back, which must not be compressed.
        headers.remove(header::ACCEPT_ENCODING);
        if !headers.contains_key(IDEMPOTENCY_KEY) {
            let key = HeaderValue::from_str(&self.idempotency_key(number));
            headers.insert(IDEMPOTENCY_KEY, key.expect("a digest's digits can stand in a header"));
        }
        let sent = client::Sent::new(request, headers, &host, allowed.private);
        let sent = sent.map_err(|reason| self.refuse(reason))?;
        let admitted = self.caller.breakers.admit(&host, self.caller.now()).map_err(|blocked| {
            self.caller.counters.blocked();
            let reason = blocked.to_string();
            self.notes().blocked = Some((blocked.until, reason.clone()));
            OutboundError::NoConnection { reason }
        })?;
        Ok(Prepared { sent, secrets, admitted })
    }

    fn not_the_one(&self, reason: String) -> OutboundError {
        self.notes().differs = Some(reason.clone());
        OutboundError::Refused { reason }
    }

    fn host_failed(&self, reason: String) -> OutboundError {
        self.notes().failed = Some(reason.clone());
        OutboundError::Refused { reason }
    }

    fn note_refusal(&self, reason: String) {
        self.caller.counters.refused(self.position(), &reason);
        self.notes().refused = Some(reason);
    }
}

impl Outbound for EventCalls {
    fn begin(&self) -> Result<u32, OutboundError> {
        let (number, calls) =
            (self.begun.fetch_add(1, Ordering::Relaxed) + 1, self.caller.settings().http.calls);
        if number > calls {
            let reason = format!("more than {calls} calls for one event are not allowed (http.calls)");
            return Err(self.refuse(reason));
        }
        // From now on the event's end waits for its calls.
        self.over.get_or_init(|| watch::Sender::new(false));
        let before = self.notes().again;
        match before.unwrap_or_else(|| self.state.claim()) {
            Claim::Granted => Ok(number),
            refused @ (Claim::Stale | Claim::InLine(_)) => {
                self.notes().again = Some(refused);
                let reason = "the event begins again before it may call".to_owned();
                Err(OutboundError::Refused { reason })
            }
        }
    }

    fn most_body(&self) -> u64 {
        self.caller.settings().http.request_body
    }

    fn refuse(&self, reason: String) -> OutboundError {
        self.note_refusal(reason.clone());
        OutboundError::Refused { reason }
    }

    fn call(
        self: Arc<Self>,
        number: u32,
        request: Request<Bytes>,
        patience: Option<Duration>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, OutboundError>> {
        let mut over = self.over.get_or_init(|| watch::Sender::new(false)).subscribe();
        Box::pin(async move {
            tokio::select! {
                biased;
                _ = over.wait_for(|over| *over) => {
                    Err(OutboundError::Refused { reason: "the event is handled".to_owned() })
                }
                response = self.answer(number, request, patience) => response,
            }
        })
    }
}

/// A call that may be made now.
struct Prepared<'c> {
    sent: client::Sent,
    secrets: SentSecrets,
    admitted: Admitted<'c>,
}

/// A call that is being made. It is in the journal also if it is not waited for.
struct Underway<'c> {
    calls: &'c EventCalls,
    /// Until there is an outcome.
    call: Option<Call>,
    /// From then on until it is durable.
    writing: Option<Written>,
    begun: Instant,
}

impl<'c> Underway<'c> {
    /// `call`: as it is noted if it is cut off.
    fn new(calls: &'c EventCalls, call: Call) -> Self {
        Self { calls, call: Some(call), writing: None, begun: clock::instant() }
    }

    /// Writes down what has come of it.
    async fn ended(mut self, outcome: CallOutcome) -> Result<(), String> {
        self.write(|call| Call { outcome, ..call });
        match &mut self.writing {
            Some(writing) => {
                let written = written(writing).await;
                self.writing = None;
                written
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, ended: impl FnOnce(Call) -> Call) {
        if let Some(call) = self.call.take() {
            let took = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            let call = ended(Call { took, ..call });
            self.writing = Some(self.calls.caller.journal.submit(call));
        }
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if self.call.is_some() {
            self.calls.caller.counters.made(None);
            self.write(|call| call);
        }
        let mut unwaited = self.calls.unwaited.lock().unwrap_or_else(PoisonError::into_inner);
        unwaited.extend(self.writing.take());
    }
}

/// What came, without the values of secrets.
fn redacted(secrets: &SentSecrets, response: Response<Bytes>) -> Response<Bytes> {
    let (mut parts, mut body) = response.into_parts();
    for value in parts.headers.values_mut() {
        if let Some(redacted) = secrets.redact(value.as_bytes()) {
            *value = HeaderValue::from_bytes(&redacted).unwrap_or(HeaderValue::from_static(""));
        }
    }
    if let Some(redacted) = secrets.redact(&body) {
        body = redacted.into();
        parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
    }
    Response::from_parts(parts, body)
}

/// Whether a host that answers so is not well.
fn is_providers_fault(status: http::StatusCode) -> bool {
    status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS
}
