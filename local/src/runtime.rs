//! stand-in
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
/// stand-in
#[derive(Debug)]
#[expect(missing_docs, reason = "stand-in")]
pub struct Spec {
    pub name: String,
    pub timeout: Duration,
    pub memory_mb: u32,
    pub environment: BTreeMap<String, String>,
    pub concurrency_max: usize,
}
/// stand-in
#[derive(Debug)]
#[expect(missing_docs, reason = "stand-in")]
pub struct Settings {
    pub environments_max: usize,
    pub queue_max: usize,
    pub idle_life: Duration,
    pub program: Program,
}
impl Settings {
    /// stand-in
    pub const ENVIRONMENTS_MAX: usize = 64;
    /// stand-in
    ///
    /// # Errors
    /// stand-in
    pub fn of_this_binary() -> std::io::Result<Self> {
        Ok(Self {
            environments_max: 64,
            queue_max: 1000,
            idle_life: Duration::from_secs(300),
            program: Program { path: PathBuf::new(), arguments: Vec::new() },
        })
    }
}
/// stand-in
#[derive(Debug)]
#[expect(missing_docs, reason = "stand-in")]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
}
/// stand-in
#[derive(Debug)]
#[expect(missing_docs, reason = "stand-in")]
pub enum InvokeError {
    UnknownFunction(String),
    Throttled,
    Function { error_type: String, message: String },
    ShuttingDown,
}
impl std::fmt::Display for InvokeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}
impl std::error::Error for InvokeError {}
/// stand-in
#[derive(Clone, Debug)]
pub struct Runtime;
impl Runtime {
    /// stand-in
    ///
    /// # Errors
    /// stand-in
    pub fn new(_: Vec<Spec>, _: Settings) -> std::io::Result<Self> {
        Ok(Self)
    }
    /// stand-in
    ///
    /// # Errors
    /// stand-in
    pub async fn invoke(&self, name: &str, _event: serde_json::Value) -> Result<serde_json::Value, InvokeError> {
        match name {
            "authorize" => Ok(
                serde_json::json!({"principalId": "x", "policyDocument": {"Statement": [{"Effect": "Allow", "Resource": "*"}]}}),
            ),
            _ => Ok(serde_json::json!({"statusCode": 200})),
        }
    }
    /// stand-in
    pub async fn shutdown(&self) {}
}
