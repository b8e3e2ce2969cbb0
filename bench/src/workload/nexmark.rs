//! The Nexmark benchmark's people, auctions and bids, as its generator makes
//! them: the same in every run.

use nexmark::{EventGenerator, config::NexmarkConfig, event::Event};
use projectionist::event::{Envelope, Timestamp};

/// When the first event happens, in milliseconds: the start of 2024. The
/// generator would take the time at which it runs.
const START: u64 = 1_704_067_200_000;

/// So many events, 10,000 a second of their own time. The generator draws what
/// is random from each event's number, so that it needs no seed.
pub(crate) fn events(count: usize) -> impl Iterator<Item = Envelope> {
    let config = NexmarkConfig { base_time: START, ..NexmarkConfig::default() };
    EventGenerator::new(config).take(count).enumerate().map(|(number, event)| {
        let (event_type, subject, data) = match &event {
            Event::Person(person) => ("nexmark.person", person.id, serde_json::to_vec(person)),
            Event::Auction(auction) => ("nexmark.auction", auction.id, serde_json::to_vec(auction)),
            Event::Bid(bid) => ("nexmark.bid", bid.auction, serde_json::to_vec(bid)),
        };
        Envelope {
            id: number.to_string(),
            source: "/nexmark".to_owned(),
            event_type: event_type.to_owned(),
            subject: Some(subject.to_string()),
            time: Some(Timestamp::from_micros(event.timestamp() as i64 * 1000)),
            content_type: "application/json".to_owned(),
            data: data.expect("texts and numbers can be written as JSON").into(),
            tags: Vec::new(),
            extensions: Default::default(),
        }
    })
}
