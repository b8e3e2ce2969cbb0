//! Alterations, and the JSON in which they are written: one a line of a patch.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{Envelope, EnvelopeError, Position, cloudevents};

/// What is different in a history that did not happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Alteration {
    /// Events that never happened: `{"leave-out": {"type": "user.deleted"}}`.
    LeaveOut(Criteria),
    /// Another event in the place of one: `{"replace": {"position": 7}, "event": {…}}`.
    Replace {
        /// Which one.
        which: Named,
        /// What happened instead.
        event: Envelope,
    },
    /// One more event: `{"insert": {"after": 7}, "event": {…}}`.
    Insert {
        /// Where.
        place: Place,
        /// What happened, too.
        event: Envelope,
    },
}

/// Which events are left out: those for which all holds that it says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Criteria {
    /// The event at this position.
    pub position: Option<Position>,
    /// Events with this id. It is unique only within a source.
    pub id: Option<String>,
    /// Events of this type.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// Events about this subject.
    pub subject: Option<String>,
}

/// One event of the log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Named {
    /// The one at this position.
    Position(Position),
    /// The one with this id.
    Id(String),
}

/// Where an event is inserted. Several at one place stand in the order in which they are
/// written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Between the event at this position and the one before it.
    Before(Position),
    /// Between the event at this position and the one behind it.
    After(Position),
}

/// Why something is no alteration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlterationError {
    /// Not JSON, or with other members than an alteration has.
    #[error(
        "no alteration: {reason}; one is {{\"leave-out\": {{…}}}}, {{\"replace\": {{…}}, \"event\": {{…}}}} or \
         {{\"insert\": {{…}}, \"event\": {{…}}}}"
    )]
    Json {
        /// What the parser met, and where.
        reason: String,
    },
    /// None of the three, or several of them.
    #[error("an alteration has one of \"leave-out\", \"replace\" and \"insert\"; this has {0}")]
    Several(usize),
    /// It leaves out nothing in particular.
    #[error(
        "\"leave-out\" says by nothing which events are meant; give \"position\", \"id\", \"type\" or \"subject\""
    )]
    Anything,
    /// An event that should be there is not.
    #[error("\"{0}\" needs an \"event\", a CloudEvent in JSON")]
    NoEvent(&'static str),
    /// An event that should not be there.
    #[error("\"leave-out\" has no \"event\"; to have another one in its place, write \"replace\"")]
    NeedlessEvent,
    /// The event is none.
    #[error("\"event\": {0}")]
    Event(#[from] EnvelopeError),
}

impl Alteration {
    /// Reads an alteration in JSON.
    pub fn from_slice(json: &[u8]) -> Result<Self, AlterationError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        struct Members<'a> {
            leave_out: Option<Criteria>,
            replace: Option<Named>,
            insert: Option<Place>,
            #[serde(borrow)]
            event: Option<&'a RawValue>,
        }

        let members: Members<'_> = serde_json::from_slice(json)
            .map_err(|error| AlterationError::Json { reason: error.to_string() })?;
        let event = |what| {
            let json = members.event.ok_or(AlterationError::NoEvent(what))?;
            Ok::<_, AlterationError>(cloudevents::from_slice(json.get().as_bytes())?)
        };
        match (members.leave_out, members.replace, members.insert) {
            (Some(_), None, None) if members.event.is_some() => Err(AlterationError::NeedlessEvent),
            (Some(criteria), None, None) if criteria == Criteria::default() => Err(AlterationError::Anything),
            (Some(criteria), None, None) => Ok(Self::LeaveOut(criteria)),
            (None, Some(which), None) => Ok(Self::Replace { which, event: event("replace")? }),
            (None, None, Some(place)) => Ok(Self::Insert { place, event: event("insert")? }),
            (leave_out, replace, insert) => {
                let some = [leave_out.is_some(), replace.is_some(), insert.is_some()];
                Err(AlterationError::Several(some.into_iter().filter(|some| *some).count()))
            }
        }
    }
}

impl Place {
    /// The position of the event beside which it is.
    pub(super) fn position(self) -> Position {
        let (Self::Before(position) | Self::After(position)) = self;
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Alteration, String> {
        Alteration::from_slice(json.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_what_is_meant() {
        let criteria = Criteria {
            event_type: Some("a".to_owned()),
            subject: Some("s".to_owned()),
            ..Criteria::default()
        };
        let leave_out = read(r#"{"leave-out": {"type": "a", "subject": "s"}}"#);
        assert_eq!(leave_out, Ok(Alteration::LeaveOut(criteria)));
        let event = r#"{"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}"#;
        let replace = read(&format!(r#"{{"replace": {{"id": "x"}}, "event": {event}}}"#));
        assert!(matches!(replace, Ok(Alteration::Replace { which: Named::Id(id), .. }) if id == "x"));
        let insert = read(&format!(r#"{{"insert": {{"before": 7}}, "event": {event}}}"#));
        assert!(matches!(insert, Ok(Alteration::Insert { place: Place::Before(7), .. })));
    }

    #[test]
    fn what_cannot_be_meant_says_why() {
        let cases = [
            (r#"{"leave-out": {"author": "me"}}"#, "unknown field `author`"),
            (r#"{"leaveout": {"type": "a"}}"#, "unknown field `leaveout`"),
            (r#"{"leave-out": {}}"#, "says by nothing"),
            (r#"{"leave-out": {"type": "a"}, "event": {}}"#, "has no \"event\""),
            (r#"{"replace": {"position": 1}}"#, "\"replace\" needs an \"event\""),
            (r#"{"replace": {"position": 1}, "event": {"id": "1"}}"#, "specversion"),
            (r#"{"insert": {"at": 1}, "event": {}}"#, "unknown variant `at`"),
            (r#"{"insert": {"after": 1}, "replace": {"id": "1"}, "event": {}}"#, "this has 2"),
            ("{}", "this has 0"),
            ("nothing", "no alteration: expected"),
        ];
        for (json, expected) in cases {
            let said = read(json).unwrap_err();
            assert!(said.contains(expected), "{json}: {said}");
        }
    }
}
