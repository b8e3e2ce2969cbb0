//! The registered schemas: read by whoever appends, changed by whoever registers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use serde_json::Value;
use tokio::sync::{RwLock, RwLockReadGuard};

use super::{
    document::{Document, DocumentError},
    rules::{Registered, Rules, TypeRules},
    usage::{Census, Usage, Usages},
};
use crate::{
    clock,
    event::{OWN_TYPES, Position, Timestamp},
    log::{EventLog, LogError},
    state::{SchemaRecord, SchemaStore, StateError, TypeRecord},
};

/// How long a type or a `dataschema` may be, in bytes.
const LONGEST_NAME: usize = 4096;

/// Why schemas cannot be changed as asked.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The document cannot be used.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A type or a `dataschema` is no such thing.
    #[error("{what}")]
    Name {
        /// What is wrong, and what to do.
        what: String,
    },
    /// There is no such schema.
    #[error("no schema {}is registered for \"{event_type}\"", of_version(dataschema.as_deref()))]
    Unknown {
        /// The type.
        event_type: String,
        /// The version; none: no version at all.
        dataschema: Option<String>,
    },
    /// Events have been recorded that name it.
    #[error(
        "the schema {}of \"{event_type}\" stays as it is: the event at position {position} names it, \
         and was recorded after it was registered; register a new version under another dataschema",
        of_version(Some(dataschema))
    )]
    InUse {
        /// The type.
        event_type: String,
        /// The version.
        dataschema: String,
        /// The last such event.
        position: Position,
    },
    /// The store failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

fn of_version(dataschema: Option<&str>) -> String {
    match dataschema {
        None => String::new(),
        Some("") => "for events without dataschema ".to_owned(),
        Some(dataschema) => format!("\"{dataschema}\" "),
    }
}

/// What came of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// There was none of this version.
    New,
    /// The same was registered already.
    Known,
    /// Another one was, which no event had relied upon.
    Replaced,
}

/// A type of events.
#[derive(Clone, Debug)]
pub struct TypeStatus {
    /// Its name.
    pub name: String,
    /// Whether its events must fit.
    pub check: bool,
    /// Its versions, by `dataschema`.
    pub versions: Vec<VersionStatus>,
}

/// A version of a type: registered, or named by events, or both.
#[derive(Clone, Debug)]
pub struct VersionStatus {
    /// What events name; empty for those that name none.
    pub dataschema: String,
    /// When its schema was registered.
    pub registered: Option<Timestamp>,
    /// Its schema.
    pub schema: Option<Value>,
    /// Its events, as far as they are counted.
    pub usage: Option<Usage>,
}

/// Types, and how far the log is counted.
#[derive(Clone, Debug)]
pub struct Counted {
    /// By name.
    pub types: Vec<TypeStatus>,
    /// Up to where events are counted.
    pub to: Position,
    /// The log's head.
    pub head: Position,
    /// Whether types without a schema are refused.
    pub required: bool,
}

/// The registered schemas of a log's events.
pub struct Schemas {
    store: SchemaStore,
    /// Under all checks.
    log: Arc<dyn EventLog>,
    rules: ArcSwap<Rules>,
    /// Held while events are checked and appended, so that no schema changes under them.
    appending: RwLock<()>,
    /// Held while schemas change: one change at a time.
    changing: Mutex<()>,
    census: Mutex<Census>,
}

impl Schemas {
    /// Reads what is registered. `required`: types without a schema are refused.
    pub fn open(store: SchemaStore, log: Arc<dyn EventLog>, required: bool) -> Result<Self, StateError> {
        let mut rules = Rules { required, ..Rules::default() };
        for (name, TypeRecord { check }) in store.types()? {
            rules.types.insert(name, TypeRules { check, ..TypeRules::default() });
        }
        for record in store.schemas()? {
            let document = Document::parse(record.document.as_bytes());
            if let Err(error) = &document {
                let (event_type, dataschema) = (&record.event_type, &record.dataschema);
                tracing::error!(event_type, dataschema, %error, "a registered schema cannot be used");
            }
            let of_type = rules.types.entry(record.event_type.clone()).or_default();
            let name = record.dataschema.clone();
            of_type.versions.insert(name, Registered { record, document: Arc::new(document) });
        }
        Ok(Self {
            store,
            log,
            rules: ArcSwap::from_pointee(rules),
            appending: RwLock::default(),
            changing: Mutex::default(),
            census: Mutex::default(),
        })
    }

    /// What events must fit now.
    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// The same for a look that is soon over.
    pub(super) fn glance(&self) -> Guard<Arc<Rules>> {
        self.rules.load()
    }

    /// Keeps schemas as they are until dropped.
    pub(super) async fn hold(&self) -> RwLockReadGuard<'_, ()> {
        self.appending.read().await
    }

    /// A registered schema, as it was written.
    pub fn document(&self, event_type: &str, dataschema: &str) -> Result<String, SchemaError> {
        let rules = self.glance();
        let registered = rules.types.get(event_type).and_then(|rules| rules.versions.get(dataschema));
        let registered = registered.ok_or_else(|| unknown(event_type, Some(dataschema)))?;
        Ok(registered.record.document.clone())
    }

    /// Registers a schema, and says whether events of the type must fit, if that is asked.
    /// Blocks, perhaps until the log is counted: not for a thread that others wait for.
    pub fn register(
        &self,
        event_type: &str,
        dataschema: &str,
        text: &str,
        check: Option<bool>,
    ) -> Result<Registration, SchemaError> {
        check_names(event_type, dataschema)?;
        let document = Document::parse(text.as_bytes())?;
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let of_type = self.glance().types.get(event_type).cloned().unwrap_or_default();
        let check = check.unwrap_or(of_type.check);
        let registration = match of_type.versions.get(dataschema).map(|known| &*known.document) {
            None => Registration::New,
            Some(Ok(known)) if known.value() == document.value() => {
                if check != of_type.check {
                    self.check_as(event_type, check)?;
                }
                return Ok(Registration::Known);
            }
            Some(_) => {
                // The long part of it lets others append meanwhile.
                self.check_unused(event_type, dataschema)?;
                Registration::Replaced
            }
        };
        let _still = self.appending.blocking_write();
        if registration == Registration::Replaced {
            self.check_unused(event_type, dataschema)?;
        }
        let record = SchemaRecord {
            event_type: event_type.to_owned(),
            dataschema: dataschema.to_owned(),
            document: text.to_owned(),
            registered: clock::now(),
            head: self.log.head(),
        };
        self.store.put(&record, TypeRecord { check })?;
        self.change(|rules| {
            let of_type = rules.types.entry(event_type.to_owned()).or_default();
            of_type.check = check;
            let document = Arc::new(Ok(document));
            of_type.versions.insert(dataschema.to_owned(), Registered { record, document });
        });
        Ok(registration)
    }

    /// Removes a schema that no event has relied upon. Blocks as [`register`](Self::register) does.
    pub fn remove(&self, event_type: &str, dataschema: &str) -> Result<(), SchemaError> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_unused(event_type, dataschema)?;
        let _still = self.appending.blocking_write();
        self.check_unused(event_type, dataschema)?;
        self.store.remove(event_type, dataschema)?;
        self.change(|rules| {
            if let Some(of_type) = rules.types.get_mut(event_type) {
                of_type.versions.remove(dataschema);
                if of_type.versions.is_empty() {
                    rules.types.remove(event_type);
                }
            }
        });
        Ok(())
    }

    /// Says whether events of a type must fit. Blocks.
    pub fn set_check(&self, event_type: &str, check: bool) -> Result<(), SchemaError> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        match self.glance().types.contains_key(event_type) {
            true => self.check_as(event_type, check),
            false => Err(unknown(event_type, None)),
        }
    }

    fn check_as(&self, event_type: &str, check: bool) -> Result<(), SchemaError> {
        self.store.put_type(event_type, TypeRecord { check })?;
        self.change(|rules| {
            rules.types.entry(event_type.to_owned()).or_default().check = check;
        });
        Ok(())
    }

    /// Refuses if an event of this version has been recorded since it was registered.
    fn check_unused(&self, event_type: &str, dataschema: &str) -> Result<(), SchemaError> {
        let since = {
            let rules = self.glance();
            let registered = rules.types.get(event_type).and_then(|rules| rules.versions.get(dataschema));
            registered.ok_or_else(|| unknown(event_type, Some(dataschema)))?.record.head
        };
        let mut census = self.census();
        census.advance(&*self.log, || true)?;
        let usage = census.types.get(event_type).and_then(|versions| versions.get(dataschema));
        match usage.map(|usage| usage.last.position).filter(|last| *last > since) {
            None => Ok(()),
            Some(position) => Err(SchemaError::InUse {
                event_type: event_type.to_owned(),
                dataschema: dataschema.to_owned(),
                position,
            }),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Rules)) {
        let before = self.rules.load();
        let mut rules = Rules { types: before.types.clone(), required: before.required };
        change(&mut rules);
        self.rules.store(Arc::new(rules));
    }

    /// All types that events have or schemas are registered for. Counts the log as far as it comes
    /// in some time; who asks again gets further. Blocks.
    pub fn count(&self, time: Duration) -> Result<Counted, LogError> {
        let mut census = self.census();
        // Others that count have had their time.
        let started = clock::instant();
        census.advance(&*self.log, || started.elapsed() < time)?;
        let rules = self.glance();
        let names: BTreeSet<&String> = census.types.keys().chain(rules.types.keys()).collect();
        let types = names.into_iter().map(|name| {
            TypeStatus::of(name, rules.types.get(name), census.types.get(name).unwrap_or(&Usages::new()))
        });
        Ok(Counted { types: types.collect(), to: census.to, head: self.log.head(), required: rules.required })
    }

    fn census(&self) -> MutexGuard<'_, Census> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TypeStatus {
    fn of(name: &str, rules: Option<&TypeRules>, usages: &Usages) -> Self {
        let none = BTreeMap::new();
        let registered = rules.map_or(&none, |rules| &rules.versions);
        let names: BTreeSet<&String> = usages.keys().chain(registered.keys()).collect();
        let version = |dataschema: &String| {
            let registered = registered.get(dataschema);
            VersionStatus {
                dataschema: dataschema.clone(),
                registered: registered.map(|registered| registered.record.registered),
                schema: registered
                    .and_then(|registered| serde_json::from_str(&registered.record.document).ok()),
                usage: usages.get(dataschema).copied(),
            }
        };
        Self {
            name: name.to_owned(),
            check: rules.is_some_and(|rules| rules.check),
            versions: names.into_iter().map(version).collect(),
        }
    }
}

fn unknown(event_type: &str, dataschema: Option<&str>) -> SchemaError {
    SchemaError::Unknown { event_type: event_type.to_owned(), dataschema: dataschema.map(str::to_owned) }
}

fn check_names(event_type: &str, dataschema: &str) -> Result<(), SchemaError> {
    let what = match event_type {
        "" => "a schema is for a type of events, whose name is not empty".to_owned(),
        _ if event_type.starts_with(OWN_TYPES) => {
            format!(
                "events of types that begin with \"{OWN_TYPES}\" are the engine's own: they need no schema"
            )
        }
        _ if event_type.len() > LONGEST_NAME || dataschema.len() > LONGEST_NAME => {
            format!("a type and a dataschema have at most {LONGEST_NAME} bytes")
        }
        _ => return Ok(()),
    };
    Err(SchemaError::Name { what })
}
