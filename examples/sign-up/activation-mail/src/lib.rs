//! Sends the activation mail of each new account.

use projectionist_sdk::{prelude::*, setting};

/// What an account is created with.
#[derive(Deserialize)]
struct Created {
    mail: String,
}

/// Sends mails through the service that the settings name.
#[derive(Reaction)]
pub struct ActivationMail {}

#[reaction(new_version = "continue")]
impl ActivationMail {
    #[on("account.created")]
    fn created(&mut self, event: &Event, account: Created) -> Result<NewEvent, Failure> {
        let service =
            setting("mail-service").ok_or_else(|| Failure::retry("no mail-service in the settings"))?;
        http::post(format!("{service}/send"))
            .header("authorization", "Bearer {secret:mail-token}")
            .json(&json!({ "to": account.mail, "template": "activation", "account": event.subject() }))
            .send()?
            .ok()?;
        Ok(NewEvent::new("activation-mail.sent").subject(event.subject()))
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::{ReactionHarness, event};

    use super::*;

    #[test]
    fn a_mail_is_sent_or_tried_again() {
        let mut harness = ReactionHarness::<ActivationMail>::new();
        harness.setting("mail-service", "https://mail.example");
        let created = || event("account.created").subject("account/7").data(json!({ "mail": "a@b.c" }));
        harness.answer_calls(|_| Ok(http::Response::new(503)));
        assert!(matches!(harness.try_handle(created()), Err(Failure::Retry(_))));
        harness.answer_calls(|_| Ok(http::Response::new(202)));
        harness.handle(created());
        let calls = harness.calls();
        assert_eq!(calls[1].url(), "https://mail.example/send");
        assert_eq!(calls[1].header_value("Authorization"), Some("Bearer {secret:mail-token}"));
        assert_eq!(calls[1].body_json::<Value>().expect("JSON")["to"], "a@b.c");
        assert_eq!(harness.appended(), [NewEvent::new("activation-mail.sent").subject("account/7")]);
    }
}
