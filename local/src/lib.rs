//! stub

pub mod functions;
pub mod logs;
pub mod runtime;
