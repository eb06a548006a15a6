//! The environment variables of a function: each has a name, a rule and a message. `template.yaml` sets them.
//!
//! A missing or wrong one stops the function in init, with a message that names it.

use std::time::Duration;

use wire::limits::COINS_MAX;
use wire::{Coins, UserId};

/// Why a function can't start.
#[derive(Debug)]
pub struct ConfigError {
    name: &'static str,
    problem: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "environment variable {}: {}", self.name, self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// Where variables come from: the process's environment, or a test's list.
pub type Source<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's environment.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A variable that must be set.
fn required(source: Source<'_>, name: &'static str) -> Result<String, ConfigError> {
    optional(source, name).ok_or_else(|| ConfigError { name, problem: "is not set".to_owned() })
}

/// A variable that may be missing or, as `CloudFormation` can't leave one out, empty.
fn optional(source: Source<'_>, name: &str) -> Option<String> {
    source(name).filter(|value| !value.is_empty())
}

/// A whole number that a deployment is given, and its range. `template.yaml` has a parameter of the same name, written as
/// parameters are (`DefaultPrice`), that takes this range and nothing else, as `local/src/template/agreement.rs` holds.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// The variable.
    pub name: &'static str,
    /// The least that it may be.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl Number {
    const DEFAULT_PRICE: Self = Self { name: "DEFAULT_PRICE", min: 0, max: 999_999_999_999_999 };
    const RECEIVER_SHARE_PERCENT: Self = Self { name: "RECEIVER_SHARE_PERCENT", min: 0, max: 100 };
    const SENDS_PER_SECOND: Self = Self { name: "SENDS_PER_SECOND", min: 1, max: 1_000 };
    const SEND_BURST: Self = Self { name: "SEND_BURST", min: 1, max: 10_000 };
    const PUSHES_PER_SECOND: Self = Self { name: "PUSHES_PER_SECOND", min: 10, max: 10_000 };
    const DELIVERED_RETENTION_DAYS: Self = Self { name: "DELIVERED_RETENTION_DAYS", min: 1, max: 99_999 };
    const UNDELIVERED_RETENTION_DAYS: Self = Self { name: "UNDELIVERED_RETENTION_DAYS", min: 1, max: 99_999 };

    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::DEFAULT_PRICE,
        Self::RECEIVER_SHARE_PERCENT,
        Self::SENDS_PER_SECOND,
        Self::SEND_BURST,
        Self::PUSHES_PER_SECOND,
        Self::DELIVERED_RETENTION_DAYS,
        Self::UNDELIVERED_RETENTION_DAYS,
    ];

    /// The variable's value, which is written without a sign, a space or a zero before it.
    fn read(self, source: Source<'_>) -> Result<u64, ConfigError> {
        let Self { name, min, max } = self;
        let text = required(source, name)?;
        let number =
            text.parse().ok().filter(|number: &u64| (min..=max).contains(number) && number.to_string() == text);
        let problem = || format!("is {text:?}; give a whole number from {min} to {max}");
        number.ok_or_else(|| ConfigError { name, problem: problem() })
    }
}

// A default price is a price.
const _: () = assert!(Number::DEFAULT_PRICE.max <= COINS_MAX);

/// As whom AWS is called, and where. Lambda sets these variables when it starts a process, and ends the process before its
/// credentials expire: so they are read once, and no other place is searched for them. No `Debug`: it holds a secret.
pub struct AwsConfig {
    /// The Region.
    pub region: String,
    /// The name of the credentials.
    pub access_key_id: String,
    /// Their secret.
    pub secret_access_key: String,
    /// What a role's credentials, as those on Lambda, have besides. A user's have none.
    pub session_token: Option<String>,
}

impl AwsConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// [`ConfigError`] that names the variable.
    pub fn read(source: Source<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            region: required(source, "AWS_REGION")?,
            access_key_id: required(source, "AWS_ACCESS_KEY_ID")?,
            secret_access_key: required(source, "AWS_SECRET_ACCESS_KEY")?,
            session_token: optional(source, "AWS_SESSION_TOKEN"),
        })
    }
}

/// A variable of one service or, without that, of all.
pub(crate) fn service_variable(source: Source<'_>, name: &str, service: &str) -> Option<String> {
    let of_service = format!("{name}_{}", service.to_uppercase().replace(' ', "_"));
    optional(source, &of_service).or_else(|| optional(source, name))
}

/// What the functions that use the store need.
#[derive(Clone, Debug)]
pub struct Config {
    /// The table that holds everything.
    pub table: String,
    /// Where `@connections` is: `https://API.execute-api.REGION.amazonaws.com/STAGE`.
    pub websocket_endpoint: String,
    /// What a direct message costs to a user for whom no price was set.
    pub default_price: Coins,
    /// How much of a price the receiver earns, 0 to 100.
    pub receiver_share_percent: u64,
    /// Whose wallet gets the rest.
    pub house: UserId,
    /// Messages per second of one user, in the long run.
    pub sends_per_second: u64,
    /// Messages of one user at once.
    pub send_burst: u64,
    /// The queue of pushes to be tried again, by its address.
    pub queue_url: String,
    /// Where those end that can't be delivered.
    pub dead_letter_queue_url: String,
    /// Pushes that are tried again per second, by all instances together.
    pub pushes_per_second: u32,
    /// The bucket that old messages are moved to, of the functions that read or move them; nothing: there is none.
    pub archive_bucket: Option<String>,
    /// How long messages stay in the table, of the function that moves them.
    pub retention: Option<Retention>,
}

/// How long messages stay in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Those that everybody has.
    pub delivered: Duration,
    /// Those that somebody lacks: as long as `delivered` at least.
    pub undelivered: Duration,
    /// Whether they are deleted even where there is no archive for them.
    pub discard: bool,
}

impl Retention {
    /// Reads the variables, where there are any.
    fn read(source: Source<'_>) -> Result<Option<Self>, ConfigError> {
        const DAY: Duration = Duration::from_secs(86_400);
        if optional(source, "DELIVERED_RETENTION_DAYS").is_none() {
            return Ok(None);
        }
        let days = |number: Number| number.read(source).map(|days| DAY * u32::try_from(days).unwrap_or(u32::MAX));
        let discard = match required(source, "DISCARD_EXPIRED")?.as_str() {
            "true" => true,
            "false" => false,
            other => {
                let problem = format!("is {other:?}; give true or false");
                return Err(ConfigError { name: "DISCARD_EXPIRED", problem });
            }
        };
        let delivered = days(Number::DELIVERED_RETENTION_DAYS)?;
        let undelivered = days(Number::UNDELIVERED_RETENTION_DAYS)?.max(delivered);
        Ok(Some(Self { delivered, undelivered, discard }))
    }
}

impl Config {
    /// Reads the variables.
    ///
    /// # Errors
    /// [`ConfigError`] that names the variable.
    pub fn read(source: Source<'_>) -> Result<Self, ConfigError> {
        let websocket_endpoint = required(source, "WEBSOCKET_ENDPOINT")?;
        if !websocket_endpoint.starts_with("https://") && !websocket_endpoint.starts_with("http://") {
            let problem = format!("is {websocket_endpoint:?}; give an https:// address");
            return Err(ConfigError { name: "WEBSOCKET_ENDPOINT", problem });
        }
        let house = required(source, "HOUSE_USER_ID")?;
        Ok(Self {
            table: required(source, "TABLE_NAME")?,
            websocket_endpoint,
            default_price: Coins(Number::DEFAULT_PRICE.read(source)?),
            receiver_share_percent: Number::RECEIVER_SHARE_PERCENT.read(source)?,
            house: house.parse().map_err(|problem| ConfigError { name: "HOUSE_USER_ID", problem })?,
            sends_per_second: Number::SENDS_PER_SECOND.read(source)?,
            send_burst: Number::SEND_BURST.read(source)?,
            queue_url: required(source, "QUEUE_URL")?,
            dead_letter_queue_url: required(source, "DEAD_LETTER_QUEUE_URL")?,
            pushes_per_second: u32::try_from(Number::PUSHES_PER_SECOND.read(source)?).unwrap_or(u32::MAX),
            archive_bucket: optional(source, "ARCHIVE_BUCKET"),
            retention: Retention::read(source)?,
        })
    }
}

/// The least severe line that is logged.
///
/// # Errors
/// [`ConfigError`] when `LOG_LEVEL` is no level.
pub fn log_level(source: Source<'_>) -> Result<tracing::Level, ConfigError> {
    let text = required(source, "LOG_LEVEL")?;
    text.parse()
        .map_err(|_| ConfigError { name: "LOG_LEVEL", problem: format!("is {text:?}; give one of error, warn, info") })
}

/// The deployment's name: tells its lines and metrics from those of others in the account.
///
/// # Errors
/// [`ConfigError`] when `SERVICE_NAME` is missing.
pub fn service_name(source: Source<'_>) -> Result<String, ConfigError> {
    required(source, "SERVICE_NAME")
}

/// How tokens are checked.
#[derive(Clone)]
pub struct TokenConfig {
    /// Accepted algorithms, and with them where keys come from.
    pub keys: KeyConfig,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must contain.
    pub audience: Option<String>,
}

/// Where the keys come from.
#[derive(Clone)]
pub enum KeyConfig {
    /// HS256 with the secret of this ARN in Secrets Manager.
    Secret(String),
    /// Public keys at an address, for these algorithms.
    Jwks {
        /// `https://…`, or `http://` to loopback.
        url: String,
        /// Of RS256, ES256, `EdDSA`.
        algorithms: Vec<jsonwebtoken::Algorithm>,
    },
}

impl TokenConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// [`ConfigError`] that names the variable.
    pub fn read(source: Source<'_>) -> Result<Self, ConfigError> {
        let names = required(source, "JWT_ALGORITHMS")?;
        let keys = match names.split(',').map(str::trim).collect::<Vec<_>>().as_slice() {
            ["HS256"] => KeyConfig::Secret(required(source, "JWT_SECRET_ARN")?),
            names => KeyConfig::Jwks { algorithms: algorithms(names)?, url: jwks_url(source)? },
        };
        let (issuer, audience) = (optional(source, "JWT_ISSUER"), optional(source, "JWT_AUDIENCE"));
        Ok(Self { keys, issuer, audience })
    }
}

/// The algorithms that public keys are taken for.
fn algorithms(names: &[&str]) -> Result<Vec<jsonwebtoken::Algorithm>, ConfigError> {
    let algorithm = |name: &&str| match *name {
        "RS256" => Ok(jsonwebtoken::Algorithm::RS256),
        "ES256" => Ok(jsonwebtoken::Algorithm::ES256),
        "EdDSA" => Ok(jsonwebtoken::Algorithm::EdDSA),
        other => Err(ConfigError {
            name: "JWT_ALGORITHMS",
            problem: format!("names {other:?}; give HS256, or any of RS256, ES256, EdDSA"),
        }),
    };
    names.iter().map(algorithm).collect()
}

/// Where the public keys are.
fn jwks_url(source: Source<'_>) -> Result<String, ConfigError> {
    let url = required(source, "JWT_JWKS_URL")?;
    let host = url.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
    if !url.starts_with("https://") && !matches!(host, Some("127.0.0.1" | "localhost")) {
        let problem = format!("is {url:?}; give an https:// address (http:// only to 127.0.0.1 or localhost)");
        return Err(ConfigError { name: "JWT_JWKS_URL", problem });
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[(&str, &str)]) -> Result<Config, String> {
        let mut variables = std::collections::HashMap::from([
            ("TABLE_NAME", "parley"),
            ("WEBSOCKET_ENDPOINT", "https://api.example.com/chat"),
            ("DEFAULT_PRICE", "0"),
            ("RECEIVER_SHARE_PERCENT", "100"),
            ("HOUSE_USER_ID", "house"),
            ("SENDS_PER_SECOND", "20"),
            ("SEND_BURST", "200"),
            ("QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/000000000000/queue"),
            ("DEAD_LETTER_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/000000000000/dead"),
            ("PUSHES_PER_SECOND", "500"),
            ("DELIVERED_RETENTION_DAYS", "7"),
            ("UNDELIVERED_RETENTION_DAYS", "90"),
            ("DISCARD_EXPIRED", "false"),
        ]);
        variables.extend(changes.iter().copied());
        Config::read(&|name| variables.get(name).map(|value| (*value).to_owned())).map_err(|error| error.to_string())
    }

    fn tokens(variables: &[(&str, &str)]) -> Result<TokenConfig, String> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        TokenConfig::read(&find).map_err(|error| error.to_string())
    }

    #[test]
    fn a_wrong_variable_is_named_with_the_fix() {
        assert!(read(&[]).is_ok());
        for (name, value, says) in [
            ("TABLE_NAME", "", "is not set"),
            ("WEBSOCKET_ENDPOINT", "chat.example.com", "https://"),
            ("DEFAULT_PRICE", "-1", "whole number"),
            ("RECEIVER_SHARE_PERCENT", "101", "0 to 100"),
            ("HOUSE_USER_ID", "a\u{7}b", "control characters"),
            ("SENDS_PER_SECOND", "fast", "whole number"),
            ("SEND_BURST", "0", "1 to 10000"),
            ("QUEUE_URL", "", "is not set"),
            ("PUSHES_PER_SECOND", "9", "10 to 10000"),
            ("DELIVERED_RETENTION_DAYS", "0", "1 to 99999"),
            ("UNDELIVERED_RETENTION_DAYS", "+6", "whole number"),
            ("DISCARD_EXPIRED", "yes", "true or false"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(says), "{error}");
        }
    }

    #[test]
    fn what_somebody_lacks_stays_as_long_as_what_everybody_has() {
        let kept = |days| read(&[("DELIVERED_RETENTION_DAYS", days)]).expect("reads").retention.expect("is set");
        let days = |days: u64| Duration::from_secs(86_400 * days);
        assert_eq!((kept("90").delivered, kept("90").undelivered), (days(90), days(90)));
        assert_eq!((kept("91").delivered, kept("91").undelivered), (days(91), days(91)));
    }

    #[test]
    fn a_log_that_cannot_be_started_names_its_variable() {
        let none = |_: &str| None;
        assert!(log_level(&none).unwrap_err().to_string().contains("LOG_LEVEL: is not set"));
        assert!(log_level(&|_| Some("loud".to_owned())).unwrap_err().to_string().contains("error, warn, info"));
        assert!(service_name(&none).unwrap_err().to_string().contains("SERVICE_NAME: is not set"));
    }

    #[test]
    fn credentials_and_region_come_from_the_environment_alone() {
        let variables = [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hush")];
        for (missing, _) in variables {
            let find = |name: &str| variables.into_iter().find(|(key, _)| *key == name && name != missing);
            let error =
                AwsConfig::read(&|name| Some(find(name)?.1.to_owned())).err().expect("it is refused").to_string();
            assert_eq!(error, format!("environment variable {missing}: is not set"));
        }
    }

    #[test]
    fn a_service_is_where_its_own_variable_says_before_that_of_all() {
        let find = |name: &str| match name {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER" => Some("http://127.0.0.1:2".to_owned()),
            "AWS_ENDPOINT_URL_SQS" => Some(String::new()),
            "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:1".to_owned()),
            _ => None,
        };
        let of = |service| service_variable(&find, "AWS_ENDPOINT_URL", service);
        assert_eq!(of("Secrets Manager").as_deref(), Some("http://127.0.0.1:2"));
        assert_eq!(of("SQS").as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(service_variable(&|_| None, "AWS_ENDPOINT_URL", "S3"), None);
    }

    #[test]
    fn a_token_setting_that_is_unsafe_is_refused() {
        for (variables, says) in [
            (vec![("JWT_ALGORITHMS", "none")], "JWT_ALGORITHMS"),
            (vec![("JWT_ALGORITHMS", "HS256,RS256")], "JWT_ALGORITHMS"),
            (vec![("JWT_ALGORITHMS", "HS256"), ("JWT_SECRET_ARN", "")], "JWT_SECRET_ARN"),
            (vec![("JWT_ALGORITHMS", "RS256")], "JWT_JWKS_URL"),
            (vec![("JWT_ALGORITHMS", "RS256"), ("JWT_JWKS_URL", "http://keys.example.com")], "https://"),
            (vec![("JWT_ALGORITHMS", "RS256"), ("JWT_JWKS_URL", "http://localhost.example.com")], "https://"),
        ] {
            let error = tokens(&variables).err().expect("it is refused");
            assert!(error.contains(says), "{error}");
        }
        assert!(tokens(&[("JWT_ALGORITHMS", "RS256, ES256"), ("JWT_JWKS_URL", "http://127.0.0.1:1/keys")]).is_ok());
    }
}
