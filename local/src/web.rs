//! The web client's files, which are part of the binary.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::get;

/// The page runs its own files only and talks to this machine only. `'self'` covers the WebSocket of the same host.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, content type and content of each file.
const FILES: [(&str, &str, &str); 11] = [
    ("/", HTML, include_str!("../web/index.html")),
    ("/style.css", CSS, include_str!("../web/style.css")),
    ("/app.js", JAVASCRIPT, include_str!("../web/app.js")),
    ("/wire.js", JAVASCRIPT, include_str!("../web/wire.js")),
    ("/conversations.js", JAVASCRIPT, include_str!("../web/conversations.js")),
    ("/outbox.js", JAVASCRIPT, include_str!("../web/outbox.js")),
    ("/pages.js", JAVASCRIPT, include_str!("../web/pages.js")),
    ("/kept.js", JAVASCRIPT, include_str!("../web/kept.js")),
    ("/link.js", JAVASCRIPT, include_str!("../web/link.js")),
    ("/connection.js", JAVASCRIPT, include_str!("../web/connection.js")),
    ("/development.js", JAVASCRIPT, include_str!("../web/development.js")),
];

/// Routes for the files.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, content_type, content)| {
        router.route(path, get(async move || serve(content_type, content)))
    })
}

fn serve(content_type: &'static str, content: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, content)
}
