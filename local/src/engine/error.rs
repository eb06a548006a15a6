//! Why there is no engine or no table.

use std::fmt;
use std::io;

use super::database::DatabaseError;
use crate::template::TABLE_NAME;

/// Why there is no engine or no table.
#[derive(Debug)]
pub enum EngineError {
    /// The port that was asked for isn't free.
    Port {
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// The database can't be opened.
    Database(DatabaseError),
    /// It can't be served.
    Start(String),
    /// The engine doesn't answer as DynamoDB does.
    Request {
        /// Where the engine is.
        endpoint: String,
        /// What was asked.
        operation: &'static str,
        /// What went wrong.
        problem: String,
    },
    /// Another machine works on the table.
    TableTaken {
        /// Where the engine is.
        endpoint: String,
        /// Who has it: which process, and where that listens.
        holder: String,
    },
    /// There is a table of this name with another key or other indexes.
    OtherTable {
        /// Where the engine is.
        endpoint: String,
        /// What differs.
        difference: String,
    },
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { port, source } => write!(f, "--dynamodb-port {port}: {source}; 0 takes a free port"),
            Self::Database(error) => error.fmt(f),
            Self::Start(problem) => write!(f, "the embedded engine can't start: {problem}"),
            Self::Request { endpoint, operation, problem } => {
                write!(f, "the DynamoDB engine at {endpoint} refused {operation}: {problem}")
            }
            Self::TableTaken { endpoint, holder } => write!(
                f,
                "the table at {endpoint} is in use by another parley ({holder}): stop it, or use another engine; of two on one \
                 table neither would tell its people what is said at the other"
            ),
            Self::OtherTable { endpoint, difference } => write!(
                f,
                "the table {TABLE_NAME} at {endpoint} is not the one of template.yaml ({difference}): another version of \
                 Parley has made it; use that one, or choose another --data-dir or --dynamodb-endpoint"
            ),
        }
    }
}

impl std::error::Error for EngineError {}

impl From<DatabaseError> for EngineError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}
