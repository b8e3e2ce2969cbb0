//! Whatever is killed whenever: nothing that was acknowledged is lost, nothing
//! is there twice, and the state ends as that of a run that was never killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use projectionist_tests::{Client, Random, Server, components, history};
use serde_json::Value;

/// How often the server is killed while events come in, and during replays.
const KILLS: (u64, u64) = (12, 8);
const BATCH: usize = 500;
/// Folded in one call a block, an event a call, and in partitions.
const PLUGINS: [&str; 3] = ["churn", "event-types", "subjects"];
/// Those that are replaced again and again, while they replay.
const REPLACED: [&str; 2] = ["churn", "subjects"];

#[test]
fn twenty_kills_leave_no_trace() {
    let mut random = Random::printed();
    let history = history::whole();
    let lines: Vec<String> = history.lines().collect();
    let undisturbed = undisturbed(&history);

    let mut server = Server::stopped();
    server.configure("event-types", "[policies]\nblock-events = 1");
    server.configure("subjects", "[policies]\nblock-events = 7\npartitions = 3");
    PLUGINS.iter().for_each(|plugin| server.drop_in(plugin));
    let importer = Importer::new(&lines);
    for kill in 1..=KILLS.0 {
        server.restart();
        let head = server.head();
        assert!(head >= importer.acknowledged(), "acknowledged {}, but at {head}", importer.acknowledged());
        // The moment is chosen among those in which it is at work.
        let pause = Duration::from_millis(random.below(if history.real { 900 } else { 150 }));
        importer.during(&server.client().clone(), || {
            thread::sleep(pause);
            server.kill();
        });
        println!("kill {kill} after {pause:?}: {} events acknowledged", importer.acknowledged());
    }
    server.restart();
    importer.finish(server.client());

    let replace = |server: &Server, remark: &str| {
        for plugin in REPLACED {
            let component = components::remarked(&components::bytes(plugin), remark);
            components::put(&server.plugin_file(plugin), &component);
        }
    };
    for kill in 1..=KILLS.1 {
        // Other versions each time: whatever they find, they replay.
        replace(&server, &kill.to_string());
        let pause = Duration::from_millis(random.below(1_500));
        thread::sleep(pause);
        server.kill();
        println!("kill {} after {pause:?}", KILLS.0 + kill);
        server.restart();
    }

    assert_eq!(server.head(), lines.len() as u64, "nothing lost, nothing twice");
    same_events(&server, &lines);
    let before = REPLACED.map(|plugin| {
        let status = server.status(plugin);
        status.map(|status| status["live"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
    });
    replace(&server, "the last ones");
    for (plugin, before) in REPLACED.iter().zip(before) {
        server.until_other_version(plugin, &before);
    }
    assert_eq!(PLUGINS.map(|plugin| server.state_digest(plugin)), undisturbed);
}

/// The digests of a run that nothing disturbs.
fn undisturbed(history: &history::History) -> [String; 3] {
    let server = Server::start();
    server.run(&["import", history.file.to_str().expect("a plain path")]).ok();
    PLUGINS.iter().for_each(|plugin| server.drop_in(plugin));
    PLUGINS.map(|plugin| server.state_digest(plugin))
}

/// The log holds these events, in this order, and no others.
fn same_events(server: &Server, lines: &[String]) {
    let ids = |text: &str| -> Vec<String> {
        let id = |line: &str| -> String {
            let event: Value = serde_json::from_str(line).expect("an event a line");
            event["id"].as_str().expect("an id").to_owned()
        };
        text.lines().map(id).collect()
    };
    let exported = server.client().get_with("/events", &[("accept", "application/x-ndjson")]);
    assert_eq!(exported.status, 200);
    let (exported, expected) = (ids(&exported.body), ids(&lines.join("\n")));
    assert_eq!(exported.len(), expected.len());
    for (position, (exported, expected)) in exported.iter().zip(&expected).enumerate() {
        assert_eq!(exported, expected, "at position {}", position + 1);
    }
}

/// Appends a history batch by batch, over servers that come and go.
struct Importer<'a> {
    lines: &'a [String],
    /// How many lines are known to be in the log.
    acknowledged: AtomicU64,
}

impl<'a> Importer<'a> {
    fn new(lines: &'a [String]) -> Self {
        Self { lines, acknowledged: AtomicU64::new(0) }
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Appends until `something` is over.
    fn during(&self, client: &Client, something: impl FnOnce()) {
        let client = client.clone();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let goes_on = || !over.load(Ordering::SeqCst) && self.append(&client);
                std::iter::repeat_with(goes_on).find(|goes_on| !goes_on);
            });
            something();
            over.store(true, Ordering::SeqCst);
        });
    }

    /// Appends all that is left.
    fn finish(&self, client: &Client) {
        while self.append(client) {}
        assert_eq!(self.acknowledged(), self.lines.len() as u64);
    }

    /// Appends a batch; `false` when there is none left or nobody answers.
    fn append(&self, client: &Client) -> bool {
        let from = self.acknowledged() as usize;
        let batch = &self.lines[from..self.lines.len().min(from + BATCH)];
        if batch.is_empty() {
            return false;
        }
        let headers = [("content-type", "application/x-ndjson")];
        let Ok(answer) = client.send("POST", "/events", &headers, batch.join("\n").as_bytes()) else {
            return false;
        };
        let position = answer.ok()["position"].as_u64().expect("a position");
        assert_eq!(position, (from + batch.len()) as u64, "nothing lost, nothing twice: {answer:#?}");
        self.acknowledged.store(position, Ordering::SeqCst);
        true
    }
}
