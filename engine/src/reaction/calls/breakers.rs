//! Hosts that fail are left alone for a while: then one call tries, and if it succeeds
//! all may call again.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    clock::Clock,
    event::Timestamp,
    plugin::{Breaker, HttpHost},
};

/// The breakers of a reaction, one for each host.
pub(super) struct Breakers {
    settings: Breaker,
    clock: Clock,
    hosts: Mutex<BTreeMap<HttpHost, Circuit>>,
}

#[derive(Default)]
struct Circuit {
    /// How many calls have failed in a row.
    failures: u32,
    open: Option<Open>,
}

struct Open {
    /// Nobody calls before.
    until: Timestamp,
    /// How long it was left alone the last time.
    pause: Duration,
    /// A call tries whether it is well again.
    probing: bool,
    /// Why the last call failed.
    reason: String,
}

/// A host is left alone.
#[derive(Debug)]
pub(super) struct Blocked {
    host: HttpHost,
    reason: String,
    pub(super) until: Timestamp,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, reason, .. } = self;
        write!(f, "{host} has failed too often and is left alone for a while; the last time: {reason}")
    }
}

/// What others see of a host that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerStatus {
    /// Scheme, name and port.
    pub host: String,
    /// `closed`: it is called. `open`: it is left alone. `probing`: one call tries.
    pub state: &'static str,
    /// How many calls to it have failed in a row.
    pub failures: u32,
    /// Until when it is left alone, if it is.
    pub until: Option<Timestamp>,
    /// Why the last call failed, if it is left alone.
    pub reason: Option<String>,
}

impl Breakers {
    pub(super) fn new(settings: Breaker, clock: Clock) -> Self {
        Self { settings, clock, hosts: Mutex::default() }
    }

    /// A call to a host may begin, or not now.
    pub(super) fn admit(&self, host: &HttpHost, now: Timestamp) -> Result<Admitted<'_>, Blocked> {
        if let Some(open) = self.hosts().get_mut(host).and_then(|circuit| circuit.open.as_mut()) {
            if open.probing || open.until > now {
                // Whoever comes while one tries comes again when that is decided, most likely.
                let until = open.until.max(later(now, self.settings.first));
                return Err(Blocked { host: host.clone(), reason: open.reason.clone(), until });
            }
            open.probing = true;
        }
        Ok(Admitted { breakers: self, host: host.clone(), ended: false })
    }

    fn ended(&self, host: &HttpHost, failure: Option<&str>, now: Timestamp) {
        let mut hosts = self.hosts();
        let Some(reason) = failure else {
            if hosts.remove(host).is_some_and(|circuit| circuit.open.is_some()) {
                tracing::info!(%host, "is called again");
            }
            return;
        };
        let circuit = hosts.entry(host.clone()).or_default();
        circuit.failures = circuit.failures.saturating_add(1);
        let pause = match &circuit.open {
            // One that had begun before it was left alone.
            Some(open) if !open.probing => return,
            Some(open) => (2 * open.pause).min(self.settings.most),
            None if circuit.failures < self.settings.failures => return,
            None => self.settings.first,
        };
        if circuit.open.is_none() {
            tracing::warn!(%host, reason, "has failed too often, and is left alone for a while");
        }
        circuit.open =
            Some(Open { until: later(now, pause), pause, probing: false, reason: reason.to_owned() });
    }

    /// All hosts whose last call has failed.
    pub(super) fn status(&self, now: Timestamp) -> Vec<BreakerStatus> {
        let status = |(host, circuit): (&HttpHost, &Circuit)| BreakerStatus {
            host: host.to_string(),
            state: match &circuit.open {
                None => "closed",
                Some(open) if open.probing || open.until <= now => "probing",
                Some(_) => "open",
            },
            failures: circuit.failures,
            until: circuit.open.as_ref().map(|open| open.until),
            reason: circuit.open.as_ref().map(|open| open.reason.clone()),
        };
        self.hosts().iter().map(status).collect()
    }

    fn hosts(&self) -> std::sync::MutexGuard<'_, BTreeMap<HttpHost, Circuit>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is being made. One that is given up has failed.
pub(super) struct Admitted<'b> {
    breakers: &'b Breakers,
    host: HttpHost,
    ended: bool,
}

impl Admitted<'_> {
    pub(super) fn host(&self) -> &HttpHost {
        &self.host
    }

    /// It has ended; why it failed, if it did.
    pub(super) fn ended(mut self, failure: Option<&str>) {
        self.ended = true;
        self.breakers.ended(&self.host, failure, self.breakers.clock.now());
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.breakers.ended(&self.host, Some("it did not answer in time"), self.breakers.clock.now());
        }
    }
}

fn later(now: Timestamp, pause: Duration) -> Timestamp {
    let pause = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_add(pause))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Breaker =
        Breaker { failures: 3, first: Duration::from_secs(1), most: Duration::from_secs(3) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn host() -> HttpHost {
        HttpHost::of(&"https://mail.example".parse().unwrap()).unwrap()
    }

    fn call(breakers: &Breakers, now: Timestamp, failure: Option<&str>) -> Result<(), Timestamp> {
        let mut admitted = breakers.admit(&host(), now).map_err(|blocked| blocked.until)?;
        admitted.ended = true;
        breakers.ended(&host(), failure, now);
        Ok(())
    }

    #[test]
    fn a_host_that_fails_is_left_alone_tried_and_called_again() {
        let breakers = Breakers::new(SETTINGS, Clock::default());
        let state = |now| breakers.status(now).first().map(|status| (status.state, status.failures));
        assert_eq!(call(&breakers, at(0), Some("down")), Ok(()));
        assert_eq!(call(&breakers, at(0), Some("down")), Ok(()));
        assert_eq!(call(&breakers, at(0), None), Ok(()), "a success in between");
        for _ in 0..3 {
            assert_eq!(call(&breakers, at(0), Some("down")), Ok(()));
        }
        assert_eq!(state(at(0)), Some(("open", 3)));
        assert_eq!(call(&breakers, at(0), None), Err(at(1)));
        // Each time that it is tried in vain, it is left alone for longer.
        assert_eq!(call(&breakers, at(1), Some("down")), Ok(()));
        assert_eq!(call(&breakers, at(2), None), Err(at(3)));
        assert_eq!(call(&breakers, at(3), Some("down")), Ok(()));
        assert_eq!(call(&breakers, at(4), None), Err(at(6)), "3 s at most");
        assert_eq!(call(&breakers, at(6), None), Ok(()));
        assert_eq!(state(at(6)), None);
        assert_eq!(call(&breakers, at(6), Some("down")), Ok(()));
        assert_eq!(state(at(6)), Some(("closed", 1)));
    }

    #[test]
    fn one_call_tries_at_a_time_and_one_that_is_given_up_has_failed() {
        let breakers = Breakers::new(SETTINGS, Clock::default());
        for _ in 0..3 {
            call(&breakers, at(0), Some("down")).unwrap();
        }
        let trying = breakers.admit(&host(), at(1)).unwrap();
        assert_eq!(breakers.status(at(1))[0].state, "probing");
        assert!(breakers.admit(&host(), at(1)).is_err());
        drop(trying);
        assert_eq!(breakers.status(at(1))[0].state, "open");
        assert_eq!(breakers.status(at(1))[0].failures, 4);
    }
}
