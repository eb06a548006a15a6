//! Why a template can't be used.

use std::fmt;

/// Why a template, or a value given to it, can't be used.
#[derive(Debug)]
pub enum TemplateError {
    /// The file is no YAML.
    Yaml(String),
    /// A part is missing or is something that one machine doesn't understand: where, and what is wrong.
    Part {
        /// The path from the template's root.
        path: String,
        /// What is wrong there.
        problem: String,
    },
    /// `--parameter` names a parameter that the template doesn't have.
    UnknownParameter {
        /// The name that was given.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// Parameters whose values don't go together: a rule of the template's says what they must be.
    BrokenRule(String),
    /// A parameter's value breaks the template's constraint.
    InvalidParameter {
        /// The parameter.
        name: String,
        /// Which constraint, and what it asks for. Never the value: it may be a secret.
        problem: String,
    },
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yaml(problem) => write!(f, "template.yaml is not valid YAML: {problem}"),
            Self::Part { path, problem } => write!(f, "template.yaml, {path}: {problem}"),
            Self::UnknownParameter { name, known } => {
                write!(f, "--parameter {name}: the template has no such parameter; it has {}", known.join(", "))
            }
            Self::BrokenRule(problem) => write!(f, "--parameter: {problem}"),
            Self::InvalidParameter { name, problem } => write!(f, "--parameter {name}: {problem}"),
        }
    }
}

impl std::error::Error for TemplateError {}

/// An error at this place of the template.
pub(super) fn part(path: impl Into<String>, problem: impl Into<String>) -> TemplateError {
    TemplateError::Part { path: path.into(), problem: problem.into() }
}
