//! What must hold for a write to be made. Each condition is declared once, beside its item, with its name and its why; the
//! simulation takes its parts away one by one, and the lists and tests speak of them by these names.

/// The condition of a write.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// What it is called.
    pub name: &'static str,
    /// What must hold, all of it.
    pub parts: &'static [Part],
}

/// A part of a condition.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// What it holds, in words.
    pub name: &'static str,
    /// As `DynamoDB` reads it; every attribute is written `#name`, but for the keys.
    pub expression: &'static str,
}

/// There is none with this key yet. It is the condition of all that is put, and the only one.
pub const MADE_ONCE: Condition = Condition {
    name: "made once",
    parts: &[Part { name: "there is none yet", expression: "attribute_not_exists(pk)" }],
};

impl Condition {
    /// As `DynamoDB` reads it.
    pub fn expression(&self) -> String {
        self.without(usize::MAX)
    }

    /// The same without one of its parts; empty where there is no other.
    pub fn without(&self, part: usize) -> String {
        let others = self.parts.iter().enumerate().filter(|(n, _)| *n != part);
        others.map(|(_, part)| part.expression).collect::<Vec<_>>().join(" AND ")
    }
}
