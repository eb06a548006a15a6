//! The command line.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use clap::{Args, Parser, Subcommand};

use crate::data_dir::DataDir;
use crate::engine::{PORT_DEFAULT, Port};
use crate::gateway::Limits;
use crate::machine::{Dynamodb, Settings};
use crate::origin::Origin;
use crate::runtime;

/// The longest time limit that can be set: a year, in seconds.
const TIME_LIMIT_MAX_S: f64 = 365.0 * 86_400.0;

/// The Parley chat back end on this machine: API Gateway, the Lambda functions and DynamoDB in one process.
#[derive(Debug, Parser)]
#[command(name = "parley", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Cli {
    /// What else this binary can be.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How the machine runs.
    #[command(flatten)]
    pub run: RunArguments,
}

/// What this binary can be besides the machine.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Is one of the Lambda functions; the machine starts these itself
    #[command(hide = true)]
    Function {
        /// The function's name
        name: String,
    },
    /// Has a function work on an event once, as "aws lambda invoke" does, and prints its answer
    Invoke {
        /// The function's name, as in functions/
        name: String,
        /// What it gets, as JSON
        #[arg(default_value = "{}", value_parser = json)]
        event: serde_json::Value,
        /// Where it works.
        #[command(flatten)]
        place: Place,
    },
    /// Copies the data directory while a machine uses it; the copy is a data directory, too
    Backup {
        /// The directory to make; what is there is never overwritten
        into: PathBuf,
        /// What to copy
        #[arg(long, value_name = "DIRECTORY", default_value = ".parley")]
        data_dir: PathBuf,
    },
    /// Checks all that is kept and prints what is wrong with it; the exit code is 1 if something is
    Verify {
        /// Mend what can be mended safely; without this flag it is only said what would be done
        #[arg(long)]
        repair: bool,
        /// Where it works.
        #[command(flatten)]
        place: Place,
    },
}

/// Which data, for commands besides the machine. If a machine runs on it, that one does the work.
#[derive(Args, Debug)]
pub struct Place {
    /// Where everything is kept
    #[arg(long, value_name = "DIRECTORY", default_value = ".parley", value_parser = data_dir)]
    pub data_dir: DataDir,
    /// Give a parameter of template.yaml a value, where no machine runs on the data; repeatable
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    pub parameters: Vec<(String, String)>,
}

/// The flags of the machine.
#[derive(Args, Debug)]
pub struct RunArguments {
    /// The address to listen on; with another than loopback, others reach the web client, /ws and /api
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 3000)]
    port: u16,
    /// Where everything is kept; ":memory:" keeps nothing
    #[arg(long, value_name = "DIRECTORY", default_value = ".parley", value_parser = data_dir)]
    data_dir: DataDir,
    /// Let the pages of this web site use /ws and /dev/token, too: a front end that is served elsewhere; repeatable
    #[arg(long = "allow-origin", value_name = "URL", value_parser = Origin::parse)]
    allowed_origins: Vec<Origin>,
    /// The port of the embedded DynamoDB engine; 0 takes a free one [default: 8000, or a free one if that is taken]
    #[arg(long, value_name = "PORT")]
    dynamodb_port: Option<u16>,
    /// Use the DynamoDB engine at this address instead of the embedded one (DynamoDB Local, an emulator)
    #[arg(long, value_name = "URL", value_parser = endpoint, conflicts_with = "dynamodb_port")]
    dynamodb_endpoint: Option<String>,
    /// Give a parameter of template.yaml a value, as "sam deploy --parameter-overrides" does; repeatable
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// How many function processes there may be at a time
    #[arg(long, value_name = "N", default_value_t = runtime::Settings::ENVIRONMENTS_MAX, value_parser = environments)]
    environments: usize,
    /// Don't start the functions that run by the clock
    #[arg(long)]
    no_schedules: bool,
    /// The limits of API Gateway.
    #[command(flatten)]
    limits: LimitArguments,
}

/// The flags that change API Gateway's limits.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits (to try out in seconds what takes hours on AWS)")]
struct LimitArguments {
    /// Close a connection without a data frame after this
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    idle_timeout: Duration,
    /// Close every connection after this
    #[arg(long, value_name = "SECONDS", default_value = "7200", value_parser = seconds)]
    connection_life: Duration,
    /// Refuse more pushes to one connection with 429 [default: as many as fit its buffer]
    #[arg(long, value_name = "N")]
    pushes_per_second: Option<u32>,
    /// Let this share of the $disconnect events go missing
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    lose_disconnects: u8,
}

impl RunArguments {
    /// What the machine is to be.
    #[must_use]
    pub fn settings(self) -> Settings {
        let port = self.dynamodb_port.map_or(Port::Preferred, Port::Exactly);
        Settings {
            host: self.host,
            port: self.port,
            data_dir: self.data_dir,
            allowed_origins: self.allowed_origins,
            dynamodb: self.dynamodb_endpoint.map_or(Dynamodb::Embedded(port), Dynamodb::Endpoint),
            parameters: BTreeMap::from_iter(self.parameters),
            environments_max: self.environments,
            schedules: !self.no_schedules,
            limits: Limits {
                idle: self.limits.idle_timeout,
                life: self.limits.connection_life,
                pushes_per_second: self.limits.pushes_per_second,
                lose_disconnects_percent: self.limits.lose_disconnects,
            },
        }
    }
}

fn data_dir(text: &str) -> Result<DataDir, String> {
    if text.is_empty() { Err("must be a directory or :memory:".to_owned()) } else { Ok(text.into()) }
}

fn endpoint(text: &str) -> Result<String, String> {
    let uri: Uri = text.parse().map_err(|_| "is no URL".to_owned())?;
    if uri.scheme_str() != Some("http") || uri.authority().is_none() {
        return Err(format!("must be like http://127.0.0.1:{PORT_DEFAULT}; to use AWS itself, deploy with sam"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| format!("must be JSON: {error}"))
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn environments(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be a whole number, 1 or more".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0 && *seconds <= TIME_LIMIT_MAX_S);
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("must be more than 0 and at most {TIME_LIMIT_MAX_S}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn refused(arguments: &[&str]) -> String {
        let all = [&["parley"], arguments].concat();
        Cli::try_parse_from(all).expect_err("must be refused").to_string()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_flags_the_machine_is_the_one_of_the_readme() {
        let settings = Cli::try_parse_from(["parley"]).expect("parses").run.settings();
        assert_eq!((settings.host.to_string().as_str(), settings.port), ("127.0.0.1", 3000));
        assert_eq!(settings.data_dir, DataDir::Path(".parley".into()));
        assert_eq!(settings.dynamodb, Dynamodb::Embedded(Port::Preferred));
        assert_eq!(settings.limits.idle, Limits::default().idle);
        assert_eq!(settings.limits.life, Limits::default().life);
        assert!(settings.schedules);
    }

    #[test]
    fn a_bad_flag_is_refused_by_name() {
        assert!(refused(&["--idle-timeout", "0"]).contains("--idle-timeout"));
        assert!(refused(&["--connection-life", "inf"]).contains("--connection-life"));
        assert!(refused(&["--lose-disconnects", "101"]).contains("--lose-disconnects"));
        assert!(refused(&["--environments", "0"]).contains("--environments"));
        assert!(refused(&["--parameter", "DefaultPrice"]).contains("must be NAME=VALUE"));
        assert!(
            refused(&["--dynamodb-endpoint", "https://dynamodb.us-east-1.amazonaws.com"]).contains("deploy with sam")
        );
        assert!(
            refused(&["--dynamodb-endpoint", "http://127.0.0.1:1", "--dynamodb-port", "1"]).contains("cannot be used")
        );
        assert!(refused(&["--host", "localhost"]).contains("--host"));
        let refused = refused(&["--allow-origin", "localhost:5173/app"]);
        assert!(refused.contains("--allow-origin") && refused.contains("give http://localhost:5173\n"), "{refused}");
    }
}
