//! Old events in their newest shape: upcasters, chained, between the log and what folds it.
//!
//! The log itself never changes. What an event is made into stands at its position: of one that
//! is split, several events of a block have the same position, one behind the other.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use crate::{
    event::{self, Block, BlockBuilder, Head, Partition, Reshaping, Span},
    plugin::{
        ApplyError, Instance, NoState, Plugin, PluginError, Shaped, Upcast,
        description::{Shape, UpcastDescription},
    },
    projection::{EventAtFault, Halt},
};

/// A plug-in that gives old events a new shape.
#[derive(Clone)]
pub struct Upcaster {
    /// Its code.
    pub plugin: Arc<Plugin>,
    /// What tells it from other versions of it, in hexadecimal.
    pub digest: String,
}

/// All upcasters that are at work.
#[derive(Clone, Default)]
pub struct Upcasters {
    all: Vec<Upcaster>,
    /// What they do with events of a type.
    steps: HashMap<String, Vec<Step>>,
}

/// What becomes of events of one shape.
#[derive(Clone)]
struct Step {
    /// The version of the type's schema that they name; none: they name none.
    dataschema: Option<String>,
    /// Who takes them: an index into `all`.
    upcaster: usize,
    to: Shape,
}

/// Why an upcaster cannot work beside the others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpcasterConflict {
    /// Another one takes the same events.
    #[error(
        "it takes events of {from}, which the upcaster \"{other}\" takes already: of one shape there is one way on"
    )]
    Taken {
        /// The shape.
        from: Shape,
        /// Who takes it.
        other: String,
    },
    /// It makes new events into old ones again.
    #[error(
        "events of {from} would become such again, step by step, for ever: upcasters lead from old to new"
    )]
    Circle {
        /// A shape on the way.
        from: Shape,
    },
}

impl Upcasters {
    /// These and one more.
    pub fn with(&self, upcaster: Upcaster) -> Result<Self, UpcasterConflict> {
        let mut with = self.clone();
        for UpcastDescription { from, to } in &upcaster.plugin.description().upcasts {
            if let Some(other) = self.step(&from.event_type, from.dataschema.as_deref()) {
                let other = self.all[other.upcaster].plugin.name().to_owned();
                return Err(UpcasterConflict::Taken { from: from.clone(), other });
            }
            let (dataschema, to) = (from.dataschema.clone(), to.clone());
            let steps = with.steps.entry(from.event_type.clone()).or_default();
            steps.push(Step { dataschema, upcaster: self.all.len(), to });
        }
        for UpcastDescription { from, to } in &upcaster.plugin.description().upcasts {
            if with.onward(to).any(|shape| shape == from) {
                return Err(UpcasterConflict::Circle { from: from.clone() });
            }
        }
        with.all.push(upcaster);
        Ok(with)
    }

    /// Whether there is nothing that they make into anything else.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The digests of those that a plug-in's events go through: of a plug-in that wants these
    /// types, old or new; none: all. In order, each once.
    pub fn digests(&self, wanted: Option<&[String]>) -> Vec<&str> {
        let touching = self.touching(wanted).map(|(_, step)| self.all[step.upcaster].digest.as_str());
        touching.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The same, with those steps only that a plug-in's events go through: what becomes of events
    /// that can be none of its types any more is not its business.
    pub(crate) fn of(&self, wanted: Option<&[String]>) -> Self {
        let mut steps: HashMap<String, Vec<Step>> = HashMap::new();
        for (event_type, step) in self.touching(wanted) {
            steps.entry(event_type.to_owned()).or_default().push(step.clone());
        }
        Self { all: self.all.clone(), steps }
    }

    /// The types to read from the log for a plug-in that wants these types.
    pub(crate) fn sources(&self, wanted: Vec<String>) -> Vec<String> {
        let old: BTreeSet<String> =
            self.touching(Some(&wanted)).map(|(event_type, _)| event_type.to_owned()).collect();
        let more: Vec<String> = old.into_iter().filter(|old| !wanted.contains(old)).collect();
        [wanted, more].concat()
    }

    /// The steps on the way to or from one of these types, with the type that each begins at.
    fn touching<'a>(&'a self, wanted: Option<&'a [String]>) -> impl Iterator<Item = (&'a str, &'a Step)> {
        let all =
            self.steps.iter().flat_map(|(name, steps)| steps.iter().map(move |step| (name.as_str(), step)));
        all.filter(move |(name, step)| {
            wanted.is_none_or(|wanted| {
                let is_wanted = |name: &str| wanted.iter().any(|wanted| wanted == name);
                is_wanted(name) || self.onward(&step.to).any(|shape| is_wanted(&shape.event_type))
            })
        })
    }

    /// A shape, and those that events of it come to have.
    fn onward<'a>(&'a self, shape: &'a Shape) -> impl Iterator<Item = &'a Shape> {
        let next = |shape: &&'a Shape| {
            self.step(&shape.event_type, shape.dataschema.as_deref()).map(|step| &step.to)
        };
        // A circle that has not been refused yet ends when all have been seen.
        let most = 1 + self.steps.values().map(Vec::len).sum::<usize>();
        std::iter::successors(Some(shape), next).take(most)
    }

    fn step(&self, event_type: &str, dataschema: Option<&str>) -> Option<&Step> {
        self.steps.get(event_type)?.iter().find(|step| step.dataschema.as_deref() == dataschema)
    }
}

/// What an upcaster has made of the events that it takes of a block.
struct Answer {
    shapes: Vec<Shaped>,
    /// Of each of these events, which shapes it has become.
    places: Vec<Range<usize>>,
    /// Where their data begin in the new block's bytes.
    base: u32,
}

/// What gives one instance's events their newest shape.
pub(crate) struct Upcasting {
    upcasters: Arc<Upcasters>,
    /// Of each upcaster, once it has been needed.
    instances: Vec<Option<Instance>>,
}

impl Upcasting {
    pub(crate) fn new(upcasters: Arc<Upcasters>) -> Self {
        let instances = upcasters.all.iter().map(|_| None).collect();
        Self { upcasters, instances }
    }

    /// The events of a block in their newest shape, in the same order.
    pub(crate) async fn newest(&mut self, mut block: Block) -> Result<Block, Halt> {
        while let Some(next) = self.once(&block).await? {
            block = next;
        }
        Ok(block)
    }

    /// One step on for each event that has one before it; none: no event has.
    async fn once(&mut self, block: &Block) -> Result<Option<Block>, Halt> {
        let upcasters = Arc::clone(&self.upcasters);
        let by_name: Vec<Option<&Vec<Step>>> =
            block.names.iter().map(|name| upcasters.steps.get(name)).collect();
        if by_name.iter().all(Option::is_none) {
            return Ok(None);
        }
        let step = |head: &Head| {
            let steps = by_name[head.event_type as usize]?;
            let dataschema = block.dataschema(head);
            steps.iter().find(|step| step.dataschema.as_deref() == dataschema)
        };
        let steps: Vec<Option<&Step>> = block.heads.iter().map(step).collect();
        let takers: BTreeSet<usize> = steps.iter().flatten().map(|step| step.upcaster).collect();
        if takers.is_empty() {
            return Ok(None);
        }
        let mut answers: Vec<Option<Answer>> = upcasters.all.iter().map(|_| None).collect();
        let mut next = Reshaping::new(block);
        for taker in takers {
            let is_taken = |step: &Option<&Step>| step.is_some_and(|step| step.upcaster == taker);
            let taken = match steps.iter().all(is_taken) {
                true => block.clone(),
                false => {
                    let mut taken = BlockBuilder::new();
                    let heads = block.heads.iter().zip(&steps).filter(|(_, step)| is_taken(step));
                    heads.for_each(|(head, _)| taken.copy(block, head));
                    taken.build()
                }
            };
            let answer = self.ask(taker, &taken).await?;
            let places = answer.places(taken.len());
            let base = next.add(&answer.bytes);
            answers[taker] = Some(Answer { shapes: answer.shapes, places, base });
        }
        let mut asked = vec![0; upcasters.all.len()];
        for (head, step) in block.heads.iter().zip(steps) {
            let Some(Step { upcaster, to, .. }) = step else {
                next.keep(head);
                continue;
            };
            let Some(Answer { shapes, places, base }) = &answers[*upcaster] else { continue };
            let place = places[asked[*upcaster]].clone();
            asked[*upcaster] += 1;
            for Shaped { data, .. } in &shapes[place] {
                let span = |data: &Range<usize>| Span {
                    offset: base + data.start as u32,
                    length: data.len() as u32,
                };
                let (event_type, dataschema) = (to.event_type.as_str(), to.dataschema.as_deref());
                next.reshape(head, event::Shape { event_type, dataschema, data: data.as_ref().map(span) });
            }
        }
        Ok(Some(next.build()))
    }

    /// Gives the instances back; what comes next is given to fresh ones.
    pub(crate) fn rest(&mut self) {
        self.instances.fill_with(|| None);
    }

    /// Asks an upcaster. Of events that it cannot take, the first is told.
    async fn ask(&mut self, upcaster: usize, taken: &Block) -> Result<Upcast, Halt> {
        if self.instances[upcaster].is_some()
            && let Ok(answer) = self.call(upcaster, taken).await?
        {
            return Ok(answer);
        }
        // An instance may have held on to too much of what came before: now it is a fresh one.
        let reason = match self.call(upcaster, taken).await? {
            Ok(answer) => return Ok(answer),
            Err(ApplyError::Failure { position, message }) => {
                let head = taken.heads.iter().find(|head| head.position == position);
                return Err(self.halt(upcaster, taken, head, &message));
            }
            Err(ApplyError::Trap { reason }) => reason,
        };
        for head in taken.heads.iter() {
            let mut alone = BlockBuilder::new();
            alone.copy(taken, head);
            if let Err(error) = self.call(upcaster, &alone.build()).await? {
                return Err(self.halt(upcaster, taken, Some(head), &error.to_string()));
            }
        }
        Err(self.halt(upcaster, taken, None, &format!("it {reason}")))
    }

    async fn call(&mut self, upcaster: usize, taken: &Block) -> Result<Result<Upcast, ApplyError>, Halt> {
        let mut instance = match self.instances[upcaster].take() {
            Some(instance) => instance,
            None => {
                let plugin = &self.upcasters.all[upcaster].plugin;
                let started = plugin.start(Arc::new(NoState), Partition::WHOLE).await;
                started.map_err(|error| Halt {
                    event: None,
                    host: matches!(error, PluginError::Host { .. }),
                    reason: format!("the upcaster cannot be started: {error}"),
                })?
            }
        };
        let answer = instance.upcast(taken).await;
        if answer.is_ok() {
            self.instances[upcaster] = Some(instance);
        }
        Ok(answer)
    }

    fn halt(&self, upcaster: usize, taken: &Block, head: Option<&Head>, reason: &str) -> Halt {
        let name = self.upcasters.all[upcaster].plugin.name();
        let event = head.map(|head| {
            let event = taken.event(head);
            let (id, event_type) = (event.envelope.id, event.envelope.event_type);
            EventAtFault { position: head.position, id, event_type }
        });
        let at = match event {
            Some(_) => "it".to_owned(),
            None => format!("the events from {} to {}", taken.first(), taken.last()),
        };
        Halt { event, reason: format!("the upcaster \"{name}\" failed at {at}: {reason}"), host: false }
    }
}
