//! What goes wrong.

/// It ends the whole run: it is for whoever reads the sentence.
pub type Problem = Box<dyn std::error::Error>;
