//! `cargo xtask demo sign-up`: accounts, their mails, a mail service that goes down and
//! comes up again, and a reminder.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{LISTEN, fresh, server::Server};
use crate::{
    components::{self, Which},
    http, step, workspace,
};

/// The plug-ins of the example.
const PLUGINS: [&str; 4] = ["account-page", "activation-mail", "reminder", "welcome"];
/// What is waited for comes within so many pauses, or not at all.
const PATIENCE: u32 = 300;
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn run(listen: Option<String>, once: bool) -> Result<()> {
    eprintln!("building the program, the mail service and the plug-ins (the first time takes some minutes)");
    let [program, provider] = workspace::build_programs("dev", ["projectionist", "mail-provider"])?;
    let built = components::build(Which::SignUp)?;
    let folder = workspace::target().join("demo-sign-up");
    let (data, plugins) = (fresh(&folder.join("data"))?, fresh(&folder.join("plugins"))?);

    let mail = Mail::start(&provider)?;
    let token = folder.join("mail-token");
    fs::write(&token, "a-secret-of-the-demo\n")?;
    for name in PLUGINS {
        let file = format!("{name}.wasm");
        fs::copy(built.folder.join(&file), plugins.join(&file))?;
        fs::write(plugins.join(format!("{name}.toml")), settings(name, &mail.url(), &token))?;
    }
    let address = listen.as_deref().unwrap_or(LISTEN);
    let mut server = Server::start(&program, &data, &plugins, address, listen.is_some())?;
    server.wait_until_live(&PLUGINS.map(str::to_owned))?;

    say("Ann and Bob sign up. Nobody else may with the same address.");
    for (account, address) in
        [("ann", "ann@example.org"), ("bob", "bob@example.org"), ("eve", "ann@example.org")]
    {
        let (status, answer) = post(&server, "/events", &created(account, address))?;
        let refused = answer["detail"].as_str().map(|detail| format!(": {detail}")).unwrap_or_default();
        println!("  account.created {account} <{address}>  {status}{refused}");
    }
    wait("two mails are sent", || Ok(mails(&mail)? == 2))?;
    println!("  the mail service has sent {} mails", mails(&mail)?);

    say("The mail service goes down. Cem and Dana sign up.");
    mail.behave("fail")?;
    for (account, address) in [("cem", "cem@example.org"), ("dana", "dana@example.org")] {
        post(&server, "/events", &created(account, address))?;
    }
    wait("it is left alone", || Ok(reaction(&server)?["breakers"][0]["state"] == "open"))?;
    let status = reaction(&server)?;
    println!(
        "  breaker of {}: {}",
        text(&status["breakers"][0]["host"]),
        text(&status["breakers"][0]["state"])
    );
    for waiting in status["next"].as_array().into_iter().flatten() {
        println!(
            "  event {} waits until {}: {}",
            waiting["position"],
            text(&waiting["next"]),
            text(&waiting["reason"])
        );
    }

    say("It comes up again, and they get their mails by themselves.");
    mail.behave("well")?;
    wait("four mails are sent", || Ok(mails(&mail)? >= 4))?;
    println!("  the mail service has sent {} mails", mails(&mail)?);

    say("Ann activates her account; the others are reminded after a few seconds.");
    post(&server, "/events", &activated("ann"))?;
    wait("three are reminded", || {
        let reminded = http::get(server.address(), "/events?type=account.reminded")?;
        Ok(reminded["events"].as_array().is_some_and(|events| events.len() >= 3))
    })?;
    for command in
        [&["trace", "created-cem"][..], &["trace", "created-ann"], &["get", "account-page", "accounts"]]
    {
        let mut command = server.command(command);
        println!("\n$ {}", step::shown(&command));
        step::run(&mut command)?;
    }
    println!("\nTry:");
    for path in [
        "/reactions",
        "/reactions/activation-mail/effects?position=1",
        "/projections/account-page/tables/accounts",
    ] {
        println!("  {}{path}", server.url());
    }
    println!("  {}/mails", mail.url());
    if once {
        return server.stop();
    }
    eprintln!("\nserving until ctrl-c");
    server.wait()
}

fn say(what: &str) {
    println!("\n── {what}");
}

/// A plug-in's settings file.
fn settings(name: &str, mail: &str, token: &Path) -> String {
    if ["account-page", "welcome"].contains(&name) {
        return String::new();
    }
    format!(
        "[http]\nbreaker = {{ failures = 4, most = \"2s\" }}\n[[http.allow]]\nhost = \"{mail}\"\nmethods = [\"POST\"]\n\
         [secrets.mail-token]\nfile = {token:?}\nhosts = [\"{mail}\"]\n[retries]\nfirst = \"200ms\"\nmost = \"2s\"\n\
         [values]\nmail-service = \"{mail}\"\nremind-after-seconds = 5\n"
    )
}

/// An account is created if no other has its address.
fn created(account: &str, address: &str) -> Value {
    let tag = format!("email:{address}");
    json!({
        "events": [{
            "specversion": "1.0", "id": format!("created-{account}"), "source": "/sign-up", "type": "account.created",
            "subject": format!("account/{account}"), "tags": tag, "data": { "mail": address },
        }],
        "condition": { "fail-if-exists": [{ "types": ["account.created"], "tags": [tag] }] },
    })
}

fn activated(account: &str) -> Value {
    json!({ "events": [{
        "specversion": "1.0", "id": format!("activated-{account}"), "source": "/sign-up", "type": "account.activated",
        "subject": format!("account/{account}"), "data": {},
    }] })
}

fn post(server: &Server, path: &str, body: &Value) -> Result<(u16, Value)> {
    http::post(server.address(), path, body)
}

fn reaction(server: &Server) -> Result<Value> {
    http::get(server.address(), "/reactions/activation-mail")
}

fn mails(mail: &Mail) -> Result<usize> {
    Ok(http::get(&mail.address, "/mails")?["mails"].as_object().map_or(0, serde_json::Map::len))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn wait(what: &str, mut is: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..PATIENCE {
        if is()? {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    bail!("waited in vain until {what}")
}

/// The mail service; stopped when dropped.
struct Mail {
    child: Child,
    /// Host and port.
    address: String,
}

impl Mail {
    fn start(program: &Path) -> Result<Self> {
        // A port that is free now; between this and its use hardly anybody takes it.
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let child = Command::new(program).arg(&address).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.with_context(|| format!("could not start {}", program.display()))?;
        let mail = Self { child, address };
        wait("the mail service answers", || Ok(http::get(&mail.address, "/mails").is_ok()))?;
        Ok(mail)
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn behave(&self, how: &str) -> Result<()> {
        let (status, _) = http::post(&self.address, "/behave", &json!(how))?;
        ensure!(status == 200, "the mail service does not do as it is told: {status}");
        Ok(())
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
