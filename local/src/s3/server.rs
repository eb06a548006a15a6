//! The bucket on loopback, where the functions' SDK finds it: `PutObject` and `GetObject`, with the bucket's name in the path,
//! as <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html> has them.

use std::io;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use percent_encoding::percent_decode_str;
use tokio::task::spawn_blocking;
use tracing::Level;

use super::bucket::{Bucket, OBJECT_BYTES_MAX};
use crate::logs;
use crate::server::Server;
use crate::template::BUCKET_NAME;

/// Serves the bucket.
///
/// # Errors
/// There is no free port.
pub async fn serve(bucket: Bucket) -> io::Result<Server> {
    Server::start(Router::new().fallback(answer).with_state(bucket)).await
}

async fn answer(State(bucket): State<Bucket>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy();
    let (status, body) = match path.trim_start_matches('/').split_once('/') {
        None => refused(StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
        // Signed in chunks, it isn't the object that it carries.
        Some(_) if parts.headers.contains_key(CONTENT_ENCODING) => {
            refused(StatusCode::NOT_IMPLEMENTED, "NotImplemented")
        }
        Some((BUCKET_NAME, key)) => match to_bytes(body, OBJECT_BYTES_MAX).await {
            Ok(object) => {
                let (method, key) = (parts.method, key.to_owned());
                let answer = spawn_blocking(move || bucket.answer(method.as_str(), &key, object)).await;
                answer.unwrap_or_else(|_| refused(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"))
            }
            Err(_) => refused(StatusCode::BAD_REQUEST, "EntityTooLarge"),
        },
        Some(_) => refused(StatusCode::NOT_FOUND, "NoSuchBucket"),
    };
    let kind = if status.is_success() { "binary/octet-stream" } else { "application/xml" };
    (status, [(CONTENT_TYPE, kind)], body).into_response()
}

impl Bucket {
    /// Answers a call: its status and its body.
    #[must_use]
    pub fn answer(&self, method: &str, key: &str, object: Bytes) -> (StatusCode, Bytes) {
        let done = match method {
            "GET" => self.get(key),
            "PUT" => self.put(key, object).map(|()| Some(Bytes::new())),
            _ => return refused(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        };
        match done {
            Ok(Some(object)) => (StatusCode::OK, object),
            Ok(None) => refused(StatusCode::NOT_FOUND, "NoSuchKey"),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                refused(StatusCode::BAD_REQUEST, "KeyNotAllowedHere")
            }
            Err(error) => {
                logs::line("s3", None, Level::ERROR, &error.to_string());
                refused(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
            }
        }
    }
}

/// An error, as S3 says it.
fn refused(status: StatusCode, code: &str) -> (StatusCode, Bytes) {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code></Error>");
    (status, body.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::server::asks;

    #[tokio::test]
    async fn it_answers_the_functions_calls_and_refuses_others() {
        let server = serve(Bucket::in_memory(Arc::default())).await.expect("starts");
        let object = format!("/{BUCKET_NAME}/segments/a%2Db/1");
        let put = asks(server.address, &format!("PUT {object}?x-id=PutObject"), "", "what was said").await;
        assert!(put.starts_with("HTTP/1.1 200"), "{put}");
        let got = asks(server.address, &format!("GET /{BUCKET_NAME}/segments/a-b/1"), "", "").await;
        assert!(got.starts_with("HTTP/1.1 200") && got.ends_with("what was said"), "{got}");
        let chunked = "content-encoding: aws-chunked\r\n";
        for (line, header, code) in [
            (format!("GET /{BUCKET_NAME}/segments/b/1"), "", "NoSuchKey"),
            (format!("GET /{BUCKET_NAME}/%2E%2E/jwt-secret"), "", "KeyNotAllowedHere"),
            ("GET /other/segments/a-b/1".to_owned(), "", "NoSuchBucket"),
            (format!("PUT {object}"), chunked, "NotImplemented"),
            (format!("DELETE {object}"), "", "MethodNotAllowed"),
            ("GET /".to_owned(), "", "NotImplemented"),
        ] {
            let answer = asks(server.address, &line, header, "").await;
            assert!(answer.contains(&format!("<Code>{code}</Code>")), "{line}: {answer}");
        }
    }
}
