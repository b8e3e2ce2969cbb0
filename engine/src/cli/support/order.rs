//! Promote, roll back, abort: the plan first, then the deed.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    time::Duration,
};

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    client::{Client, Place},
    comparison,
    output::{Output, note},
    text,
};
use crate::{
    cli::{
        Context,
        exit::{Exit, Failure},
    },
    query::Comparison,
};

/// How soon to ask again whether a version has taken over.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// What is to be done, and with what.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plug-in
    name: String,
    /// The version, by how its digest begins [default: the newest that it can be done with]
    #[arg(value_name = "DIGEST")]
    version: Option<String>,
    /// Do it without asking, if this is still the plan
    #[arg(long, value_name = "ID")]
    plan: Option<String>,
    /// Do it without asking, whatever the plan is
    #[arg(long, short, conflicts_with = "plan")]
    yes: bool,
    /// Only show the plan
    #[arg(long, conflicts_with_all = ["plan", "yes"])]
    dry_run: bool,
    /// Don't wait until the version has taken over
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    signature: Signature,
    #[command(flatten)]
    place: Place,
}

/// Who does it, and why: kept with the deployment.
#[derive(Debug, clap::Args)]
pub struct Signature {
    /// Who does it [default: the user's name]
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// What for
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

impl Signature {
    /// Who does it.
    pub fn actor(&self) -> Option<String> {
        let user = || ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
        self.actor.clone().or_else(user)
    }

    /// What for.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

/// Shows the plan of `promote`, `roll-back` or `abort`, asks, and does it.
pub async fn run(args: Args, action: &str, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    let plan = args.planned(action, &client).await?;
    if args.dry_run {
        return show(&args.name, &plan, &mut context.output);
    }
    if !context.output.is_json() {
        show(&args.name, &plan, &mut context.output)?;
        context.output.flush()?;
    }
    let id = plan["id"].as_str().unwrap_or_default();
    if args.plan.is_none() && !args.yes {
        agreed(id)?;
    }
    let order = json!({
        "version": plan["version"],
        "plan": args.plan.as_deref().unwrap_or(id),
        "actor": args.signature.actor(),
        "note": args.signature.note(),
    });
    let request = client.request(Method::POST, &["projections", &args.name, action]).json(&order);
    let mut done: Value = client.json(request).await?;
    let version = done["version"].as_str().unwrap_or_default().to_owned();
    if action != "abort" && !args.no_wait {
        until_live(&client, &args.name, &version).await?;
        done["live"] = true.into();
    }
    let short = text::short(&version);
    match (context.output.is_json(), action, done["live"] == true) {
        (true, ..) => context.output.json(&done)?,
        (_, "abort", _) => context.output.line(format!("{short} is given up"))?,
        (_, _, true) => context.output.line(format!("{short} answers now"))?,
        (_, _, false) => context.output.line(format!("{short} takes over when it has caught up"))?,
    }
    Ok(())
}

impl Args {
    async fn planned(&self, action: &str, client: &Client) -> Result<Value> {
        let request = client.get(&["projections", &self.name, "plan"]);
        client.json(request.query(&[("action", action)]).query(&[("version", &self.version)])).await
    }
}

fn show(name: &str, plan: &Value, output: &mut Output) -> Result<()> {
    if output.is_json() {
        return Ok(output.json(plan)?);
    }
    let digest = |field: &str| plan[field].as_str().map(text::short).unwrap_or("none");
    let (id, action) = (&plan["id"], plan["action"].as_str().unwrap_or_default());
    let id = id.as_str().unwrap_or_default();
    output.line(format!(
        "plan {id}: {action} {} of {name}; {} answers now",
        digest("version"),
        digest("live")
    ))?;
    if let Some(remark) = plan["remark"].as_str() {
        output.line(text::printable(remark))?;
    }
    match serde_json::from_value::<Option<Comparison>>(plan["comparison"].clone()) {
        Ok(Some(comparison)) => comparison::show(name, &comparison, output)?,
        Ok(None) => {}
        Err(_) => note("the comparison is of another version of this program"),
    }
    Ok(())
}

/// Asks at the terminal whether to go ahead.
fn agreed(id: &str) -> Result<(), Failure> {
    let no = |message: &str| {
        Failure::new(Exit::Usage, message)
            .hint(format!("--plan {id} does it if nothing has changed by then, --yes whatever has"))
    };
    if !io::stdin().is_terminal() {
        return Err(no("nothing is done: there is nobody to ask"));
    }
    // If nobody sees the question, the answer will not be yes.
    let _ = write!(io::stderr(), "Go ahead? [y/N] ").and_then(|()| io::stderr().flush());
    let mut answer = String::new();
    match io::stdin().lock().read_line(&mut answer) {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(no("nothing is done")),
    }
}

/// Waits until a version answers; an error if it will not.
pub async fn until_live(client: &Client, name: &str, version: &str) -> Result<()> {
    loop {
        let status: Value = client.json(client.get(&["projections", name])).await?;
        if status["live"] == version {
            return Ok(());
        }
        let versions = status["versions"].as_array().into_iter().flatten();
        let mut own = versions.filter(|one| one["digest"] == version);
        let own = own.next();
        // It is on record as the live one a moment before it answers.
        let is_on_its_way = |own: &Value| own["station"] == "candidate" || own["station"] == "live";
        if !own.is_some_and(is_on_its_way) {
            let reason = own.and_then(|own| own["reason"].as_str());
            let reason = reason.unwrap_or("another one was preferred meanwhile");
            let message = format!("{} did not take over: {reason}", text::short(version));
            return Err(Failure::new(Exit::Unavailable, message).into());
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}
