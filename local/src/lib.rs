//! Parley on one machine, in one process: API Gateway, the Lambda service, DynamoDB, SQS and the schedules.
//!
//! In reading order: [`cli`] is the command line; [`machine`] starts and stops the parts; [`data_dir`] is where they keep what
//! they keep; [`template`] says what is
//! deployed; [`gateway`] is API Gateway; [`runtime`] is the Lambda service, which runs the [`functions`] as processes;
//! [`engine`] is DynamoDB; [`s3`] is S3; [`secrets`] is Secrets Manager; [`queue`] is SQS; [`schedule`] is the clock;
//! [`lambda`] takes `Invoke`, for what an [`operator`] runs by hand; [`backup`] copies a data directory in use;
//! [`token`] and [`web`] are for trying it out, and
//! [`origin`] says which web sites may.

pub mod backup;
pub mod cli;
pub mod clock;
pub mod data_dir;
pub mod engine;
pub mod file_error;
pub mod functions;
pub mod gateway;
pub mod ids;
pub mod invoker;
pub mod lambda;
pub mod logs;
pub mod machine;
pub mod operator;
pub mod origin;
pub mod queue;
pub mod runtime;
pub mod s3;
pub mod schedule;
pub mod secrets;
pub mod server;
pub mod template;
pub mod token;
pub mod web;
