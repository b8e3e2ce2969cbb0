//! Looking back: a version's state as it stood at a position, with the code of any version that is
//! kept, or with code that was lent for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;

use super::{
    Deployer,
    apart::{Standing, StandingError},
};
use crate::{
    clock,
    event::Position,
    log::Moment,
    plugin::{Settings, description::Kind},
    projection::Code,
};

/// So many states are kept at hand for the next look.
const MOST_STATES: usize = 8;
/// So long after the last look.
const STATES_FOR: Duration = Duration::from_secs(60);
/// So much lent code is kept at hand.
const MOST_CODE: usize = 16;
/// So long after its last use.
pub(super) const CODE_FOR: Duration = Duration::from_secs(600);

/// What looking back keeps at hand.
#[derive(Default)]
pub(super) struct Past {
    states: AtHand<(String, Position), Arc<OnceCell<Arc<Standing>>>>,
    lent: AtHand<String, Code>,
}

/// The last few of something, for a while.
struct AtHand<K, V>(Mutex<HashMap<K, (V, Instant)>>);

impl<K, V> Default for AtHand<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + std::hash::Hash, V: Clone> AtHand<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, (V, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &K) -> Option<V> {
        let mut all = self.lock();
        let (value, used) = all.get_mut(key)?;
        *used = clock::instant();
        Some(value.clone())
    }

    /// What is there under a key, or else `value`; whatever was used longest ago makes room.
    fn get_or_put(&self, key: K, value: V, most: usize) -> V {
        if let Some(value) = self.get(&key) {
            return value;
        }
        let mut all = self.lock();
        while all.len() >= most
            && let Some(oldest) = all.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone())
        {
            all.remove(&oldest);
        }
        all.entry(key).or_insert((value, clock::instant())).0.clone()
    }

    fn forget_unused(&self, after: Duration) {
        self.lock().retain(|_, (_, used)| used.elapsed() < after);
    }
}

impl Past {
    /// Forgets what nobody has used for long, now and in the time to come.
    async fn forget(self: Arc<Self>) {
        let past = Arc::downgrade(&self);
        drop(self);
        loop {
            tokio::time::sleep(STATES_FOR / 4).await;
            let Some(past) = past.upgrade() else { return };
            past.states.forget_unused(STATES_FOR);
            past.lent.forget_unused(CODE_FOR);
        }
    }

    /// Nothing at hand yet. What is not used is forgotten by a task of the current runtime.
    pub(super) fn start() -> Arc<Self> {
        let past = Arc::new(Self::default());
        tokio::spawn(Arc::clone(&past).forget());
        past
    }
}

impl Deployer {
    /// A version's state as it stood at a moment; by default the live version's, as it stands.
    /// `version`: another one, by how its digest begins. What does not stand there is folded apart.
    pub async fn standing(
        &self,
        name: &str,
        version: Option<&str>,
        at: Option<Moment>,
    ) -> Result<Arc<Standing>, StandingError> {
        let context = self.registry.context();
        let head = context.log.head();
        let at = at.map(|moment| moment.position(&*context.log)).transpose()?;
        if let Some(at) = at.filter(|at| *at > head) {
            return Err(StandingError::Future { at, head });
        }
        if let Some(digest) = version
            && let Some(code) = self.past.lent.get(&digest.to_owned())
        {
            return self.at_hand(code, at.unwrap_or(head)).await;
        }
        let digest = match version {
            Some(version) => self.kept(name, Some(version))?.digest,
            None => self.live(name)?.digest().to_owned(),
        };
        if let Some(running) = self.registry.running(name, &digest) {
            let view = running.state().view()?;
            if at.is_none_or(|at| at == view.position()) {
                return Ok(Arc::new(Standing::of(running, view)));
            }
        }
        let record = self.kept(name, Some(&digest))?;
        self.at_hand(context.code(&record).await?, at.unwrap_or(head)).await
    }

    /// Lends code that nobody has deployed, to look back with it: it can be named by its digest for
    /// ten minutes after its last use. `settings`: the text of its settings file; absent: the live
    /// version's.
    pub async fn lend(
        &self,
        name: &str,
        wasm: &[u8],
        settings: Option<&str>,
    ) -> Result<String, StandingError> {
        let live = self.live(name)?;
        let settings = match settings {
            Some(text) => Settings::parse(text)?,
            None => live.plugin().settings().clone(),
        };
        let code = self.registry.context().code_of(name, wasm, &settings).await;
        let code = code.map_err(StandingError::Plugin)?;
        if code.plugin().kind() != Kind::Projection {
            return Err(StandingError::NoProjection { name: name.to_owned(), kind: code.plugin().kind() });
        }
        let digest = code.digest().to_owned();
        self.past.lent.get_or_put(digest.clone(), code, MOST_CODE);
        Ok(digest)
    }

    /// Whether code of this digest was lent.
    pub(super) fn is_lent(&self, digest: &str) -> bool {
        self.past.lent.get(&digest.to_owned()).is_some()
    }

    /// Whether the state of a version at a position need not be folded any more.
    pub(super) fn has_at_hand(&self, digest: &str, at: Position) -> bool {
        self.past.states.get(&(digest.to_owned(), at)).is_some_and(|state| state.initialized())
    }

    /// A state at hand, or folded apart now; who asks for the same meanwhile waits for it.
    async fn at_hand(&self, code: Code, at: Position) -> Result<Arc<Standing>, StandingError> {
        let key = (code.digest().to_owned(), at);
        let place = self.past.states.get_or_put(key, Arc::default(), MOST_STATES);
        let context = self.registry.context();
        let fold = async || Ok(Arc::new(context.fold_apart(code, at).await?));
        place.get_or_try_init(fold).await.map(Arc::clone)
    }
}
