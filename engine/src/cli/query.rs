//! `query`: one of the queries that a plug-in's author wrote.

use anyhow::Result;
use reqwest::Method;
use serde_json::Value;

use super::{
    Context,
    exit::{Exit, Failure},
    support::{
        client::Place,
        freshness::{Freshness, Moment},
        waiting::showing_folds,
    },
};

/// Ask a plug-in one of its queries
///
/// `projectionist status NAME` lists the queries and their parameters.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plug-in
    name: String,
    /// The query
    query: String,
    /// Parameters of the query
    #[arg(value_name = "PARAMETER=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// All parameters at once, as a JSON object
    #[arg(long, value_name = "JSON", conflicts_with = "parameters")]
    arguments: Option<String>,
    #[command(flatten)]
    freshness: Freshness,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub async fn run(mut args: Args, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    args.moment.lend(&client, &args.name).await?;
    let path = ["projections", &args.name, "queries", &args.query];
    let request = match &args.arguments {
        Some(json) => client.request(Method::POST, &path).json(&object(json)?),
        None => client.get(&path).query(&args.parameters),
    };
    let answer: Value = {
        let request = args.moment.apply(args.freshness.apply(request));
        showing_folds(&client, &args.name, client.json(request)).await?
    };
    match context.output.is_json() {
        true => context.output.json(&answer)?,
        false => context.output.shown(&answer)?,
    }
    Ok(())
}

/// Reads `name=value`.
pub(crate) fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as name=value".to_owned()),
    }
}

fn object(json: &str) -> Result<Value, Failure> {
    let wrong =
        |reason: String| Failure::new(Exit::Usage, format!("--arguments takes a JSON object: {reason}"));
    match serde_json::from_str(json) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err(wrong("this is JSON, but no object".into())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        assert_eq!(parameter("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parameter("a="), Ok(("a".into(), "".into())));
        assert!(parameter("a").is_err() && parameter("=a").is_err());
        assert!(object("{}").is_ok() && object("[]").is_err() && object("{").is_err());
    }
}
