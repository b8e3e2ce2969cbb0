//! The one thread that writes. It takes all appends that wait, checks each
//! against the log and those before it, and commits what may be in one
//! transaction with one fsync. Only then does it answer.

use std::sync::Arc;

use redb::ReadableDatabase as _;
use tokio::sync::{mpsc, oneshot};

use super::{
    super::{
        AppendError, Appended, LogError, LogSettings,
        admission::{Admission, Admitted, History},
        block,
        index::Index,
        keys::Key,
        matcher::Query,
        prepared::Prepared,
    },
    merge::Merges,
    seal::seal,
    sealed::Sealed,
    store::{Store, View},
    tables::{BLOCKS, Doing, insert_block},
};
use crate::{
    clock,
    event::{Block, BlockBuilder, Position, Timestamp},
};

const ACTION: &str = "commit events";

/// An append on its way to the writer.
pub(super) struct Request {
    pub(super) batch: Prepared,
    pub(super) reply: oneshot::Sender<Result<Appended, AppendError>>,
}

/// How many events one transaction takes in at most, and how many bytes. More
/// would not make it cheaper, only make those wait who came first.
const GROUP_EVENTS: usize = 32_768;
const GROUP_BYTES: usize = 64 << 20;

/// So many full blocks are sealed at a time. More make imports cheaper, and
/// opening the log and reading its tail, which has no index on disk, dearer.
const SEAL_BLOCKS: usize = 4;

pub(super) struct Writer {
    store: Arc<Store>,
    settings: LogSettings,
    /// The tail's events; while a group is being checked, also those let in.
    index: Index,
    merges: Merges,
    /// When the last event was recorded.
    recorded: Timestamp,
}

impl Writer {
    pub(super) fn new(store: Arc<Store>, settings: LogSettings) -> Result<Self, LogError> {
        let mut index = Index::default();
        for block in &store.view().tail {
            index.insert_block(block, store.keys);
        }
        let transaction = store.database.begin_read().doing(ACTION)?;
        let merges = Merges::open(&transaction).doing("read its index")?;
        let last = store.block(store.head())?;
        let recorded =
            last.and_then(|block| block.heads.last().map(|head| head.recorded)).unwrap_or_default();
        Ok(Self { store, settings, index, merges, recorded: Timestamp::from_micros(recorded) })
    }

    /// Serves requests until nobody can send any more.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        while let Some(first) = queue.blocking_recv() {
            let group = fill(first, &mut queue);
            if let Some(reason) = self.store.failure() {
                for request in group {
                    let _ = request.reply.send(Err(LogError::Stopped { reason: reason.to_owned() }.into()));
                }
                continue;
            }
            self.serve(group);
        }
    }

    fn serve(&mut self, group: Vec<Request>) {
        let mut answers = Vec::with_capacity(group.len());
        let outcome = self.admit(group, &mut answers).and_then(|admitted| self.commit(admitted));
        if let Err(error) = &outcome {
            self.store.fail(error.to_string());
        }
        for (reply, answer) in answers {
            let answer = match &outcome {
                Ok(()) => answer,
                // Also the refusals: they may be due to events that have not
                // become part of the log.
                Err(error) => Err(error.clone().into()),
            };
            // An appender that has gone away is not interested.
            let _ = reply.send(answer);
        }
    }

    /// Checks a group in order. An error of the log itself stops the writer
    /// (what it knows might be half of it); others concern one append.
    #[allow(clippy::type_complexity, reason = "answers and where they go, used once")]
    fn admit(
        &mut self,
        group: Vec<Request>,
        answers: &mut Vec<(oneshot::Sender<Result<Appended, AppendError>>, Result<Appended, AppendError>)>,
    ) -> Result<Vec<Admitted>, LogError> {
        let mut failure = None;
        let sealed = self.store.view().sealed;
        let before = match sealed {
            0 => Ok(None),
            sealed => self.store.sealed(sealed).map(Some),
        };
        let past = match before {
            Ok(sealed) => Past { store: &self.store, sealed },
            Err(error) => {
                let failed = |request: Request| (request.reply, Err(error.clone().into()));
                answers.extend(group.into_iter().map(failed));
                return Err(error);
            }
        };
        let mut admission = Admission::new(&past, &mut self.index, self.store.keys, self.store.head());
        for request in group {
            let answer = match &failure {
                None => admission.admit(request.batch),
                Some(_) => Err(LogError::Closed.into()),
            };
            if let Err(AppendError::Log(error)) = &answer {
                failure.get_or_insert(error.clone());
            }
            answers.push((request.reply, answer));
        }
        match failure {
            None => Ok(admission.admitted),
            Some(error) => Err(error),
        }
    }

    /// Writes events, makes them durable, then shows them.
    fn commit(&mut self, mut admitted: Vec<Admitted>) -> Result<(), LogError> {
        if admitted.is_empty() {
            return Ok(());
        }
        self.recorded = self.recorded.max(clock::now());
        for Admitted { batch, first, new, versions } in &mut admitted {
            batch.keep(new);
            batch.record(*first, self.recorded, versions);
        }
        let blocks: Vec<Block> = admitted.into_iter().map(|admitted| admitted.batch.block).collect();
        let (head, full, small_bytes) = {
            let view = self.store.view();
            (view.head(), view.full, view.small_bytes)
        };
        let events = (head - full) as usize + blocks.iter().map(Block::len).sum::<usize>();
        let bytes = small_bytes + blocks.iter().map(|block| block.bytes.len()).sum::<usize>();
        if self.settings.is_full(events, bytes) {
            let view = self.store.view().clone();
            self.commit_full(&view, blocks, events, bytes)
        } else {
            self.commit_small(blocks)
        }
    }

    /// The tail takes the events as one more small block.
    fn commit_small(&self, mut blocks: Vec<Block>) -> Result<(), LogError> {
        let block = match &mut blocks[..] {
            [block] => std::mem::take(block),
            blocks => {
                let mut builder = BlockBuilder::new();
                blocks.iter().for_each(|block| block.heads.iter().for_each(|head| builder.copy(block, head)));
                builder.build()
            }
        };
        let transaction = self.store.database.begin_write().doing(ACTION)?;
        write(&transaction, [&block])?;
        transaction.commit().doing(ACTION)?;
        self.store.publish(|view| view.push(block.into(), &self.settings));
        Ok(())
    }

    /// Small blocks and the events are cut into full blocks; what is left is
    /// one small block. Seals full blocks once there are some.
    fn commit_full(
        &mut self,
        view: &View,
        blocks: Vec<Block>,
        events: usize,
        bytes: usize,
    ) -> Result<(), LogError> {
        let (waiting, small) = view.full_and_small();
        let (builder, full) = (BlockBuilder::new(), Vec::new());
        let mut cutter = Cutter { settings: &self.settings, events, bytes, builder, blocks: full };
        small.iter().for_each(|block| cutter.add(block));
        blocks.into_iter().for_each(|block| cutter.add(&Arc::new(block)));
        let (full, rest) = cutter.finish();

        let transaction = self.store.database.begin_write().doing(ACTION)?;
        {
            let mut blocks = transaction.open_table(BLOCKS).doing(ACTION)?;
            blocks.retain_in((view.full + 1, 0).., |_, _| false).doing(ACTION)?;
        }
        write(&transaction, full.iter().chain(&rest).map(|block| &**block))?;
        let unsealed: Vec<&Arc<Block>> = waiting.iter().chain(&full).collect();
        let sum = |size: fn(&Block) -> usize| unsealed.iter().map(|block| size(block)).sum::<usize>();
        let is_due = sum(Block::len) >= SEAL_BLOCKS * self.settings.block_events
            || sum(|block| block.bytes.len()) >= SEAL_BLOCKS * self.settings.block_bytes;
        let sealed = if is_due { unsealed.last().map(|block| block.last()) } else { None };
        if sealed.is_some() {
            let (keys, filters) = (self.store.keys, &self.store.filters);
            seal(&transaction, &unsealed, keys, &mut self.merges, filters)?;
        }
        transaction.commit().doing(ACTION)?;

        if sealed.is_some() {
            unsealed.iter().for_each(|block| self.store.cache.insert(block));
            self.store.filters.retain(self.merges.runs());
        }
        let mut next = View { sealed: sealed.unwrap_or(view.sealed), ..View::default() };
        next.full = next.sealed;
        let stay = if sealed.is_some() { Vec::new() } else { unsealed };
        for block in stay.into_iter().chain(&rest) {
            next.push(Arc::clone(block), &self.settings);
        }
        self.store.publish(|view| *view = next);
        if let Some(sealed) = sealed {
            self.index.forget(sealed);
        }
        Ok(())
    }
}

/// The first request and those that wait behind it, as many as one transaction
/// takes.
fn fill(first: Request, queue: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let size =
        |request: &Request| -> (usize, usize) { (request.batch.len(), request.batch.block.bytes.len()) };
    let (mut events, mut bytes) = size(&first);
    let mut group = vec![first];
    while events < GROUP_EVENTS && bytes < GROUP_BYTES {
        let Ok(request) = queue.try_recv() else { break };
        let (more_events, more_bytes) = size(&request);
        events += more_events;
        bytes += more_bytes;
        group.push(request);
    }
    group
}

fn write<'a>(
    transaction: &redb::WriteTransaction,
    blocks: impl IntoIterator<Item = &'a Block>,
) -> Result<(), LogError> {
    let mut table = transaction.open_table(BLOCKS).doing(ACTION)?;
    let mut encoded = Vec::new();
    for block in blocks {
        encoded.clear();
        block::encode(block, &mut encoded);
        insert_block(&mut table, block.first(), &encoded).doing(ACTION)?;
    }
    Ok(())
}

/// Cuts a run of events into full blocks, the last of which takes what would be
/// too little for one more: so it is up to twice as large, and nothing has to be
/// written again soon.
struct Cutter<'a> {
    settings: &'a LogSettings,
    /// How many events are still to come, and about how many bytes.
    events: usize,
    bytes: usize,
    builder: BlockBuilder,
    blocks: Vec<Arc<Block>>,
}

impl Cutter<'_> {
    /// Adds a block's events. A block that would do as it is stays whole.
    fn add(&mut self, block: &Arc<Block>) {
        let is_full = self.settings.is_full(block.len(), block.bytes.len());
        let is_too_large =
            block.len() > 2 * self.settings.block_events || block.bytes.len() > 2 * self.settings.block_bytes;
        if self.builder.is_empty() && is_full && !is_too_large {
            self.events -= block.len();
            self.bytes -= block.bytes.len();
            self.blocks.push(Arc::clone(block));
            return;
        }
        for head in block.heads.iter() {
            let before = self.builder.bytes_len();
            self.builder.copy(block, head);
            self.events -= 1;
            self.bytes = self.bytes.saturating_sub(self.builder.bytes_len() - before);
            let is_full = self.settings.is_full(self.builder.len(), self.builder.bytes_len());
            if is_full && (self.events == 0 || self.settings.is_full(self.events, self.bytes)) {
                self.blocks.push(Arc::new(std::mem::take(&mut self.builder).build()));
            }
        }
    }

    /// The full blocks, and a small one if what was left is not enough for one.
    fn finish(mut self) -> (Vec<Arc<Block>>, Option<Arc<Block>>) {
        let rest = (!self.builder.is_empty()).then(|| Arc::new(self.builder.build()));
        match rest {
            Some(rest) if self.settings.is_full(rest.len(), rest.bytes.len()) => {
                self.blocks.push(rest);
                (self.blocks, None)
            }
            rest => (self.blocks, rest),
        }
    }
}

/// The log before the group: its sealed part by the index on disk; the tail is
/// in the writer's own index.
struct Past<'a> {
    store: &'a Store,
    sealed: Option<Sealed<'a>>,
}

impl History for Past<'_> {
    fn position(&self, id: Key) -> Result<Option<Position>, LogError> {
        self.sealed.as_ref().map_or(Ok(None), |sealed| sealed.position(id))
    }

    fn subject(&self, subject: Key) -> Result<Option<(u64, Position)>, LogError> {
        self.sealed.as_ref().map_or(Ok(None), |sealed| sealed.subject(subject))
    }

    fn latest(&self, query: Query<'_>, after: Position) -> Result<Option<Position>, LogError> {
        self.sealed.as_ref().map_or(Ok(None), |sealed| sealed.latest(query, after))
    }

    fn block(&self, position: Position) -> Result<Arc<Block>, LogError> {
        let missing = || LogError::Damaged { position, reason: "it is missing".to_owned() };
        self.store.block(position)?.ok_or_else(missing)
    }
}
