//! What a page about an account shows.

use projectionist_sdk::prelude::*;

/// What an account is created with.
#[derive(Deserialize)]
struct Created {
    mail: String,
}

/// What the page shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Its mail address.
    pub mail: String,
    /// When it was created.
    pub created: Timestamp,
    /// When the activation mail was sent.
    pub mailed: Option<Timestamp>,
    /// When its owner was reminded.
    pub reminded: Option<Timestamp>,
    /// When it was activated.
    pub activated: Option<Timestamp>,
}

/// Accounts, by what their events are about.
#[derive(Projection)]
pub struct AccountPage {
    accounts: Table<String, Account>,
}

#[projection]
impl AccountPage {
    #[on("account.created")]
    fn created(&mut self, event: &Event, account: Created) {
        let page = Account { mail: account.mail, created: event.time(), ..Account::default() };
        self.accounts.insert(event.subject(), page);
    }

    #[on("activation-mail.sent")]
    fn mailed(&mut self, event: &Event) {
        self.accounts.entry(event.subject()).mailed = Some(event.time());
    }

    #[on("account.reminded")]
    fn reminded(&mut self, event: &Event) {
        self.accounts.entry(event.subject()).reminded = Some(event.time());
    }

    #[on("account.activated")]
    fn activated(&mut self, event: &Event) {
        self.accounts.entry(event.subject()).activated = Some(event.time());
    }

    /// How many accounts there are, and how many are activated.
    #[query]
    fn summary(&self) -> Value {
        let (mut all, mut mailed, mut activated) = (0, 0, 0);
        for (_, account) in self.accounts.iter() {
            all += 1;
            mailed += u64::from(account.mailed.is_some());
            activated += u64::from(account.activated.is_some());
        }
        json!({ "accounts": all, "mailed": mailed, "activated": activated })
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::{Harness, event};

    use super::*;

    #[test]
    fn the_page_follows_the_account() {
        let mut harness = Harness::<AccountPage>::new();
        harness
            .fold(
                event("account.created")
                    .subject("account/7")
                    .data(json!({ "mail": "a@b.c" }))
                    .time("2024-05-01T10:00:00Z"),
            )
            .fold(event("activation-mail.sent").subject("account/7").time("2024-05-01T10:00:01Z"))
            .fold(event("account.activated").subject("account/7").time("2024-05-01T11:00:00Z"));
        let (key, account) = harness.rows("accounts").remove(0);
        assert_eq!((key, &account["mail"]), (json!("account/7"), &json!("a@b.c")));
        assert_eq!(account["activated"], "2024-05-01T11:00:00Z");
        assert_eq!(account["reminded"], Value::Null);
        harness.check_replay();
    }
}
