//! The deployment as `template.yaml` describes it: functions, routes, schedules, variables and the table.
//!
//! The local machine reads the file that is deployed, so a route, a time limit or a variable can't differ between
//! the two. Only what this machine needs is understood, with the intrinsic functions `Ref`, `Fn::Sub`, `Fn::GetAtt` and
//! `Fn::If`, and with conditions and rules; anything else where a value is needed is an error, not a guess.
//!
//! In reading order: `deployment` is the whole; `parameters` are what it is given; `functions`, `routes`, `schedules`, `queues`
//! and `table` are its parts. Below these, `intrinsic` evaluates values, `resources` finds what they refer to, `names` has what
//! things are called here, `yaml` reads the file, and `error` says why it can't be used.

#[cfg(test)]
mod agreement;
mod deployment;
mod error;
mod functions;
mod intrinsic;
mod names;
mod parameters;
mod queues;
mod resources;
mod routes;
mod schedules;
mod table;
mod yaml;

pub use deployment::{DEPLOYED, Deployment, Template};
pub use error::TemplateError;
pub use functions::Function;
pub use names::{ACCOUNT_ID, API_ID, BUCKET_NAME, REGION, SECRET_ARN, TABLE_NAME};
pub use queues::{EventSource, QueueDefinition, Redrive};
pub use routes::{HttpRoute, WebSocketRoutes};
pub use schedules::Schedule;
pub use table::{AttributeDefinition, Index, KeyElement, Projection, Table};
