//! Welcomes whoever has activated the account: a reaction that only appends.

use projectionist_sdk::prelude::*;

/// Answers each activation.
#[derive(Reaction)]
pub struct Welcome {}

#[reaction(new_version = "continue")]
impl Welcome {
    #[on("account.activated")]
    fn activated(&mut self, event: &Event) -> NewEvent {
        NewEvent::new("account.welcomed").subject(event.subject())
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::ReactionHarness;

    use super::*;

    #[test]
    fn each_activation_is_answered() {
        let mut harness = ReactionHarness::<Welcome>::new();
        harness.event("account.activated", "account/7", json!({}));
        assert_eq!(harness.appended(), [NewEvent::new("account.welcomed").subject("account/7")]);
    }
}
