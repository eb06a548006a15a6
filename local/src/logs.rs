//! The machine's log: what its parts and its functions say, on stderr, one line each.
//!
//! ```text
//! 14:03:07.512 send          3f1c88a0 INFO  published conversation=d-91 seq=4
//! ```
//! Local time, who speaks, the first characters of the request's id, level, message. The functions write JSON lines,
//! as CloudWatch likes them; here they are unfolded for a person.

use std::{
    fmt::Write as _,
    io::{IsTerminal, Write as _},
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};

use serde_json::{Map, Value};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader};
use tracing::Level;

/// A line that is longer is cut here, in bytes; the rest of it is not shown.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// The column of the speaker's name, in characters: the longest function's name fits.
const SOURCE_CHARS: usize = 13;
/// How much of a request's id is shown, in characters.
const REQUEST_ID_CHARS: usize = 8;
/// Fields of a JSON line that are shown in a column, or that say nothing on one machine.
const FIELDS_NOT_LISTED: [&str; 15] = [
    "timestamp",
    "level",
    "message",
    "location",
    "service",
    "cold_start",
    "function",
    "function_name",
    "function_arn",
    "function_memory_size",
    "function_request_id",
    "correlation_id",
    "xray_trace_id",
    // What tells CloudWatch which of the fields are metrics; and what counts the line itself.
    "_aws",
    "Requests",
];

static LEAST_SEVERE: OnceLock<Level> = OnceLock::new();

#[expect(clippy::disallowed_methods, reason = "NO_COLOR is about this terminal, not about the deployment")]
static COLOURED: LazyLock<bool> = LazyLock::new(|| {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
});

/// Sets the least severe level that [`line()`] shows; INFO if never called. The first call counts.
pub fn show_from(level: Level) {
    LEAST_SEVERE.get_or_init(|| level);
}

/// Logs MESSAGE of SOURCE (a function's name or a part of the machine), about a request if there is one.
pub fn line(source: &str, request_id: Option<&str>, level: Level, message: &str) {
    if level <= *LEAST_SEVERE.get().unwrap_or(&Level::INFO) {
        show(source, request_id, level, message);
    }
}

fn show(source: &str, request_id: Option<&str>, level: Level, message: &str) {
    let time = jiff::Zoned::now().strftime("%H:%M:%S%.3f").to_string();
    let text = format(&time, source, request_id, level, message, *COLOURED);
    // A terminal that is gone is no reason to stop serving.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn format(time: &str, source: &str, id: Option<&str>, level: Level, message: &str, coloured: bool) -> String {
    let id = id.unwrap_or("-").chars().take(REQUEST_ID_CHARS).collect::<String>();
    let (dim, bright, plain) = if coloured { ("\x1b[2m", colour(level), "\x1b[0m") } else { ("", "", "") };
    let mut text = format!(
        "{dim}{time}{plain} {source:SOURCE_CHARS$} {dim}{id:REQUEST_ID_CHARS$}{plain} {bright}{level:5}{plain} "
    );
    for character in message.chars() {
        // What users write can get into a log line: it must neither end the line nor steer the terminal.
        if character.is_control() && character != '\t' {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text.push('\n');
    text
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[34m",
    }
}

/// The log of one function's process: shows what it writes, and knows which event it works on.
#[derive(Debug)]
pub(crate) struct ProcessLog {
    source: String,
    request_id: Mutex<Option<String>>,
    complaint: Mutex<Option<(Level, String)>>,
}

impl ProcessLog {
    /// The log of a process of the function SOURCE.
    pub(crate) fn new(source: &str) -> Arc<Self> {
        Arc::new(Self { source: source.to_owned(), request_id: Mutex::default(), complaint: Mutex::default() })
    }

    /// The event that the process works on from now on: lines that name no request belong to it.
    pub(crate) fn set_request_id(&self, request_id: &str) {
        *self.request_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(request_id.to_owned());
    }

    /// Logs something about the process, rather than by it.
    pub(crate) fn platform(&self, level: Level, message: &str) {
        line(&self.source, self.request_id().as_deref(), level, message);
    }

    /// The first of the most severe lines of the process: why it didn't start, if it didn't.
    pub(crate) fn complaint(&self) -> Option<String> {
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        complaint.as_ref().map(|(_, message)| message.clone())
    }

    /// Shows a pipe's lines until it is closed; PLAIN is the level of one that is not JSON. The process chooses itself
    /// what to say: all of it is shown.
    pub(crate) async fn follow(self: Arc<Self>, pipe: impl AsyncRead + Unpin, plain: Level) {
        let mut pipe = BufReader::new(pipe);
        while let Some(text) = next_line(&mut pipe).await {
            let Said { level, request_id, message } = Said::parse(&text, plain);
            show(&self.source, request_id.or_else(|| self.request_id()).as_deref(), level, &message);
            let mut complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
            if complaint.as_ref().is_none_or(|(worst, _)| level < *worst) {
                *complaint = Some((level, message));
            }
        }
    }

    fn request_id(&self) -> Option<String> {
        self.request_id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads one line that isn't empty, of bounded length. None at the pipe's end, and if it can't be read any more.
async fn next_line(pipe: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut line = Vec::new();
    loop {
        let buffer = pipe.fill_buf().await.unwrap_or_default();
        let ended = buffer.is_empty();
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        line.extend_from_slice(&part[..part.len().min(LINE_BYTES_MAX - line.len())]);
        let read = end.map_or(buffer.len(), |end| end + 1);
        pipe.consume(read);
        if (end.is_some() || ended) && !line.trim_ascii().is_empty() {
            return Some(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
        }
        if ended {
            return None;
        }
        if end.is_some() {
            line.clear();
        }
    }
}

/// One line of a function, understood.
#[derive(Debug, PartialEq)]
struct Said {
    level: Level,
    request_id: Option<String>,
    message: String,
}

impl Said {
    /// A JSON object is unfolded; anything else is its own message, of level PLAIN.
    fn parse(line: &str, plain: Level) -> Self {
        match serde_json::from_str(line) {
            Ok(Value::Object(fields)) => Self::unfold(&fields),
            _ => Self { level: plain, request_id: None, message: line.to_owned() },
        }
    }

    fn unfold(fields: &Map<String, Value>) -> Self {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let mut message = text("message").unwrap_or_default().to_owned();
        for (name, value) in fields.iter().filter(|(name, _)| !FIELDS_NOT_LISTED.contains(&name.as_str())) {
            let separator = if message.is_empty() { "" } else { " " };
            let _ = match value {
                Value::String(word) if !word.contains(char::is_whitespace) => {
                    write!(message, "{separator}{name}={word}")
                }
                _ => write!(message, "{separator}{name}={value}"),
            };
        }
        Self {
            level: text("level").and_then(|level| level.parse().ok()).unwrap_or(Level::INFO),
            request_id: text("function_request_id").map(str::to_owned),
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_s_json_line_is_unfolded() {
        let said = Said::parse(
            r#"{"timestamp":"2026-01-02T03:04:05.000Z","level":"WARN","message":"slow write","location":"shared::store:7",
                "took_ms":140,"item":"LOG","why":"two words","function_request_id":"3f1c88a0-1111","cold_start":true}"#,
            Level::INFO,
        );
        assert_eq!(said.level, Level::WARN);
        assert_eq!(said.request_id.as_deref(), Some("3f1c88a0-1111"));
        assert_eq!(said.message, r#"slow write item=LOG took_ms=140 why="two words""#);
    }

    #[test]
    fn a_request_s_line_shows_its_figures_and_not_what_is_for_cloudwatch() {
        let line = r#"{"level":"INFO","message":"request","action":"ping","outcome":"ok","Requests":1.0,"PushesSent":1.0,
            "_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"Parley"}]},"function":"presence","service":"parley"}"#;
        assert_eq!(Said::parse(line, Level::INFO).message, "request PushesSent=1.0 action=ping outcome=ok");
    }

    #[test]
    fn another_line_is_shown_as_it_is() {
        let said = Said::parse("thread 'main' panicked at src/lib.rs:1", Level::WARN);
        assert_eq!(said.message, "thread 'main' panicked at src/lib.rs:1");
        assert_eq!((said.level, said.request_id), (Level::WARN, None));
        assert_eq!(Said::parse("42", Level::INFO).message, "42");
    }

    #[test]
    fn a_message_can_neither_end_its_line_nor_steer_the_terminal() {
        let text = format("14:03:07.512", "send", Some("3f1c88a0-1111"), Level::INFO, "a\nb\u{1b}[2J", false);
        assert_eq!(text, "14:03:07.512 send          3f1c88a0 INFO  a\\nb\\u{1b}[2J\n");
        let text = format("14:03:07.512", "gateway", None, Level::ERROR, "é\tü", false);
        assert_eq!(text, "14:03:07.512 gateway       -        ERROR é\tü\n");
    }

    #[tokio::test]
    async fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let text = format!("\n{}\r\n\nnext\nlast", "x".repeat(3 * LINE_BYTES_MAX));
        let mut pipe = BufReader::new(text.as_bytes());
        assert_eq!(next_line(&mut pipe).await, Some("x".repeat(LINE_BYTES_MAX)));
        assert_eq!(next_line(&mut pipe).await.as_deref(), Some("next"));
        assert_eq!(next_line(&mut pipe).await.as_deref(), Some("last"));
        assert_eq!(next_line(&mut pipe).await, None);
    }
}
