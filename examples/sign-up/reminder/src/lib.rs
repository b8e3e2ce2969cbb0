//! Reminds, by a timer, whoever has not activated the account.

use std::time::Duration;

use projectionist_sdk::{prelude::*, setting};

/// What an account is created with.
#[derive(Deserialize)]
struct Created {
    mail: String,
}

/// Knows whom to remind until they have activated the account.
#[derive(Reaction)]
pub struct Reminder {
    /// The mail address of each account that is not activated.
    waiting: Table<String, String>,
}

#[reaction(new_version = "rebuild")]
impl Reminder {
    #[on("account.created")]
    fn created(&mut self, event: &Event, account: Created) {
        self.waiting.insert(event.subject(), account.mail);
    }

    #[on("activation-mail.sent")]
    fn mailed(&mut self, event: &Event) -> Effects {
        let after = setting("remind-after-seconds").and_then(|text| text.parse().ok());
        let after = Duration::from_secs(after.unwrap_or(3 * 24 * 3600));
        Effects::none().timer(event.subject(), event.time() + after)
    }

    #[on("account.activated")]
    fn activated(&mut self, event: &Event) -> Effects {
        self.waiting.remove(event.subject());
        Effects::none().cancel(event.subject())
    }

    #[on_timer]
    fn due(&mut self, event: &Event, _: Timer) -> Result<Option<NewEvent>, Failure> {
        let Some(mail) = self.waiting.get(event.subject()).map(|mail| mail.clone()) else { return Ok(None) };
        let service =
            setting("mail-service").ok_or_else(|| Failure::retry("no mail-service in the settings"))?;
        http::post(format!("{service}/send"))
            .header("authorization", "Bearer {secret:mail-token}")
            .json(&json!({ "to": mail, "template": "reminder", "account": event.subject() }))
            .send()?
            .ok()?;
        Ok(Some(NewEvent::new("account.reminded").subject(event.subject())))
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::{ReactionHarness, event};

    use super::*;

    #[test]
    fn who_has_not_activated_the_account_is_reminded() {
        let mut harness = ReactionHarness::<Reminder>::new();
        harness.setting("mail-service", "https://mail.example").setting("remind-after-seconds", "3600");
        harness.answer_calls(|_| Ok(http::Response::new(202)));
        harness.at("2024-05-01T10:00:00Z");
        for account in ["account/1", "account/2"] {
            harness.event("account.created", account, json!({ "mail": format!("{account}@b.c") }));
            harness.handle(event("activation-mail.sent").subject(account).time("2024-05-01T10:00:00Z"));
        }
        harness.event("account.activated", "account/1", json!({}));
        harness.at("2024-05-01T10:59:59Z");
        assert_eq!(harness.appended(), []);
        harness.at("2024-05-01T11:00:00Z");
        assert_eq!(harness.appended(), [NewEvent::new("account.reminded").subject("account/2")]);
        assert_eq!(harness.calls().len(), 1);
        assert!(harness.timers().is_empty());
    }
}
